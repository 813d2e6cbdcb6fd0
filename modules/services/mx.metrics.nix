# What monitoring asks an exchanger, and when it calls somebody.
{
  port = 9105;
  alerts = [
    {
      name = "ChasquiMxDown";
      expr = ''up{job="mx"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "The mx role of {{ $labels.host }} does not answer: see `systemctl status chasqui-mx` there.";
    }
    {
      name = "ChasquiSpoolGrows";
      expr = "chasqui_mx_spool_entries > 1000";
      for = "15m";
      summary = "{{ $value }} messages wait on {{ $labels.host }} for storage nodes that do not take them: see `journalctl -u chasqui-mx`.";
    }
    {
      name = "ChasquiMailGivenUp";
      expr = "increase(chasqui_mx_spool_failed_total[1h]) > 0";
      for = "0m";
      summary = "{{ $labels.host }} gave messages up; they lie in the spool's folder `failed`.";
    }
    {
      name = "ChasquiFilterAway";
      expr = ''increase(chasqui_filter_contents_total{outcome=~"away|busy"}[10m]) > 0'';
      for = "10m";
      summary = "{{ $labels.host }} accepts mail that {{ $labels.filter }} did not judge: see whether it runs there.";
    }
    {
      name = "ChasquiMxBlind";
      expr = ''sum by (host) (rate(chasqui_dns_look_ups_total{job="mx",outcome=~"timeout|temporary"}[10m])) > 0.5 * sum by (host) (rate(chasqui_dns_look_ups_total{job="mx"}[10m]))'';
      for = "15m";
      severity = "critical";
      summary = "Half of the look-ups of {{ $labels.host }} have no answer: see `systemctl status unbound` there.";
    }
  ];
}
