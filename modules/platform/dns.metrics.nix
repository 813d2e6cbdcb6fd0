# What monitoring reads of a DNS server (E1).
{
  port = 9119;
  alerts = [
    {
      name = "DnsServerSilent";
      expr = "bind_up == 0";
      for = "2m";
      severity = "critical";
      summary = "BIND on {{ $labels.host }} gives no statistics: systemctl status bind";
    }
    {
      name = "DnsZoneTransferFails";
      expr = "increase(bind_zone_transfer_failure_total[1h]) > 0";
      for = "15m";
      severity = "warning";
      summary = "{{ $labels.host }} cannot take zones from the primary: look at its certificate, the keys of the views and port 853.";
    }
  ];
}
