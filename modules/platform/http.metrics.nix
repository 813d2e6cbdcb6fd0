# When monitoring calls somebody about a host of the HTTP tier (E6).
{
  alerts = [
    {
      name = "HttpDown";
      expr = ''node_systemd_unit_state{name="nginx.service",state="active"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "nginx does not run on {{ $labels.host }}; reverse proxies send requests to the others.";
    }
  ];
}
