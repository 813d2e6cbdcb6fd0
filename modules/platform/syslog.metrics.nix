# When monitoring calls somebody about logs (S2): on every host, for every host sends its own.
{
  alerts = [
    {
      name = "LogsNotSent";
      expr = ''node_systemd_unit_state{name="syslog.service",state="active"} == 0'';
      for = "5m";
      severity = "warning";
      summary = "rsyslog does not run on {{ $labels.host }}: its messages are in its own journal only.";
    }
  ];
}
