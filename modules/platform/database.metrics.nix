# What monitoring asks a database host, and when it calls somebody (E8). Patroni serves the page by TLS itself.
{
  port = 8008;
  scheme = "https";
  loopback = false;
  alerts = [
    {
      name = "DatabaseWithoutPrimary";
      expr = "sum(patroni_primary) < 1";
      for = "1m";
      severity = "critical";
      summary = "No member of the database cluster is primary; see `patronictl list` on any of them.";
    }
    {
      name = "DatabaseMemberDown";
      expr = "patroni_postgres_running == 0";
      for = "5m";
      severity = "warning";
      summary = "PostgreSQL does not run on {{ $labels.host }}; the cluster goes on without it.";
    }
    {
      name = "DatabaseReplicaBehind";
      expr = "max(patroni_xlog_location) - on() group_right() patroni_xlog_replayed_location > 67108864 and on(host) patroni_replica == 1";
      for = "10m";
      severity = "warning";
      summary = "The replica on {{ $labels.host }} is more than 64 MiB behind the primary.";
    }
  ];
}
