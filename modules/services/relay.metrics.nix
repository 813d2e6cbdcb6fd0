# What monitoring asks a relay, and when it calls somebody.
{
  port = 9107;
  alerts = [
    {
      name = "ChasquiRelayDown";
      expr = ''up{job="relay"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "The relay role of {{ $labels.host }} does not answer: see `systemctl status chasqui-relay` there.";
    }
    {
      name = "ChasquiQueueLong";
      expr = "chasqui_relay_queue_messages > 10000";
      for = "30m";
      summary = "{{ $value }} messages wait on {{ $labels.host }}: `chasqui queue stats` there says for whom.";
    }
    {
      name = "ChasquiQueueOld";
      expr = "chasqui_relay_queue_oldest_age_seconds > 4 * 86400";
      for = "15m";
      summary = "A message waits on {{ $labels.host }} for more than four days; after five its sender is told that it failed. `chasqui queue list` there says why.";
    }
    {
      name = "ChasquiQueueDamaged";
      expr = "increase(chasqui_relay_queue_damaged_total[1h]) > 0";
      for = "0m";
      severity = "critical";
      summary = "{{ $labels.host }} set queue files aside that it cannot read; look at its disk.";
    }
    {
      name = "ChasquiNothingLeaves";
      expr = ''sum by (host) (chasqui_relay_queue_messages) > 100 unless on (host) sum by (host) (rate(chasqui_relay_delivery_recipients_total{outcome="delivered"}[30m])) > 0'';
      for = "30m";
      severity = "critical";
      summary = "{{ $labels.host }} has mail to send, and none of it leaves: see its way out (port 25, DNS) and `chasqui queue stats`.";
    }
    {
      name = "ChasquiSenderLimited";
      expr = "increase(chasqui_relay_submission_limited_total[15m]) > 0";
      for = "0m";
      summary = "Somebody sends more than is allowed through {{ $labels.host }} ({{ $labels.scope }}, {{ $labels.what }}): the log names who, `journalctl -u chasqui-relay -p warning`. A stolen password looks like this.";
    }
    {
      name = "ChasquiRefusedElsewhere";
      expr = ''sum by (host) (rate(chasqui_relay_delivery_recipients_total{outcome="failed"}[1h])) > 0.02 and sum by (host) (rate(chasqui_relay_delivery_recipients_total{outcome="failed"}[1h])) > 0.2 * sum by (host) (rate(chasqui_relay_delivery_recipients_total{outcome=~"failed|delivered"}[1h]))'';
      for = "30m";
      summary = "A fifth of what {{ $labels.host }} sends is refused by other sites: look for spam in the queue, and for its address on block lists.";
    }
    {
      name = "ChasquiDkimOld";
      expr = "0 < chasqui_dkim_active_timestamp_seconds < time() - 200 * 86400";
      for = "1d";
      summary = "The key that signs mail of {{ $labels.domain }} is older than half a year: `chasqui dkim rotate {{ $labels.domain }}`, publish what it prints, and copy the folder to every relay.";
    }
    {
      name = "ChasquiDkimMissing";
      expr = "chasqui_dkim_active_timestamp_seconds == 0";
      for = "1d";
      summary = "Nothing signs mail of {{ $labels.domain }} on {{ $labels.host }}: `chasqui dkim rotate {{ $labels.domain }}`, or copy the folder of keys from another relay.";
    }
    {
      name = "ChasquiRelayBlind";
      expr = ''sum by (host) (rate(chasqui_dns_look_ups_total{job="relay",outcome=~"timeout|temporary"}[10m])) > 0.5 * sum by (host) (rate(chasqui_dns_look_ups_total{job="relay"}[10m]))'';
      for = "15m";
      severity = "critical";
      summary = "Half of the look-ups of {{ $labels.host }} have no answer: see `systemctl status unbound` there.";
    }
  ];
}
