# What monitoring reads of a reverse proxy (E5).
{
  port = 9113;
  alerts = [
    {
      name = "ReverseProxyDown";
      expr = "nginx_up == 0";
      for = "1m";
      severity = "critical";
      summary = "nginx does not answer on {{ $labels.host }}; the façade sends requests to the other reverse proxies.";
    }
    {
      name = "ReverseProxyDropsConnections";
      expr = "rate(nginx_connections_accepted[5m]) - rate(nginx_connections_handled[5m]) > 1";
      for = "5m";
      severity = "warning";
      summary = "nginx on {{ $labels.host }} has more connections than it may have; add reverse proxies.";
    }
  ];
}
