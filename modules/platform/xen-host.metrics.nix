# When monitoring calls somebody about a Xen host (E10). The state of its units is on the node exporter's page.
{
  alerts = [
    {
      name = "GuestNotRunning";
      expr = ''node_systemd_unit_state{name=~"xen-guest-.*",state="active"} == 0'';
      for = "3m";
      severity = "critical";
      summary = "{{ $labels.name }} does not run on {{ $labels.host }}: systemctl status {{ $labels.name }}; never installed: chasqui-guest-create";
    }
  ];
}
