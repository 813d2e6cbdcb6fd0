# What monitoring asks a proxy, and when it calls somebody.
{
  port = 9106;
  alerts = [
    {
      name = "ChasquiProxyDown";
      expr = ''up{job="proxy"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "The proxy role of {{ $labels.host }} does not answer: see `systemctl status chasqui-proxy` there.";
    }
    {
      name = "ChasquiProxyWaits";
      expr = "chasqui_proxy_log_ins_waiting > 100";
      summary = "{{ $value }} log-ins wait on {{ $labels.host }} for a directory server or a storage node.";
    }
  ];
}
