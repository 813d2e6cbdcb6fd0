# What monitoring watches on every host of a site, whatever its roles.
{
  port = 9100;
  alerts = [
    {
      name = "HostDown";
      expr = ''up{job="node"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "{{ $labels.host }} does not answer.";
    }
    {
      name = "MetricsMissing";
      expr = ''up{job!="node"} == 0 and on(host) up{job="node"} == 1'';
      for = "5m";
      severity = "warning";
      summary = "The {{ $labels.job }} of {{ $labels.host }} does not answer, though the host does.";
    }
    {
      name = "UnitFailed";
      expr = ''node_systemd_unit_state{state="failed"} == 1'';
      for = "5m";
      severity = "warning";
      summary = "{{ $labels.name }} has failed on {{ $labels.host }}: systemctl status {{ $labels.name }}";
    }
    {
      name = "DiskFillsUp";
      expr = ''node_filesystem_avail_bytes{fstype=~"ext4|btrfs|xfs|vfat"} / node_filesystem_size_bytes < 0.1'';
      for = "15m";
      severity = "warning";
      summary = "{{ $labels.mountpoint }} of {{ $labels.host }} is more than nine tenths full.";
    }
    {
      name = "DiskFull";
      expr = ''node_filesystem_avail_bytes{fstype=~"ext4|btrfs|xfs|vfat"} / node_filesystem_size_bytes < 0.02'';
      for = "1m";
      severity = "critical";
      summary = "{{ $labels.mountpoint }} of {{ $labels.host }} is full; mail for it is answered 4xx.";
    }
    {
      name = "MemoryShort";
      expr = "node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes < 0.05";
      for = "10m";
      severity = "warning";
      summary = "{{ $labels.host }} has less than a twentieth of its memory left.";
    }
    {
      name = "ConnectionTableFillsUp";
      expr = "node_nf_conntrack_entries / node_nf_conntrack_entries_limit > 0.8";
      for = "2m";
      severity = "critical";
      summary = "{{ $labels.host }} tracks nearly as many connections as it can; when the table is full new ones are dropped: raise net.netfilter.nf_conntrack_max.";
    }
    {
      name = "FacadeWithoutServers";
      expr = "sum by (host, local_address, local_port) (node_ipvs_backend_weight) == 0";
      for = "1m";
      severity = "critical";
      summary = "No server takes connections to {{ $labels.local_address }} port {{ $labels.local_port }} as {{ $labels.host }} sees it: chasqui-facade-drain, or the servers' logs.";
    }
    {
      name = "ClockWrong";
      expr = "abs(node_timex_offset_seconds) > 1";
      for = "5m";
      severity = "critical";
      summary = "The clock of {{ $labels.host }} is off by {{ $value }} s; the directory refuses datagrams that are 30 s off.";
    }
  ];
}
