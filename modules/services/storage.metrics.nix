# What monitoring asks a storage node, and when it calls somebody.
{
  port = 9103;
  alerts = [
    {
      name = "ChasquiStorageDown";
      expr = ''up{job="storage"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "The storage role of {{ $labels.host }} does not answer: see `systemctl status chasqui-storage` there.";
    }
    {
      name = "ChasquiStorageRefuses";
      expr = "rate(chasqui_mailstore_refused_total[5m]) > 0";
      summary = "{{ $labels.host }} refuses deliveries: a quota, a full disk or a failure; see `journalctl -u chasqui-storage`.";
    }
    {
      name = "ChasquiStorageSlow";
      expr = "histogram_quantile(0.99, rate(chasqui_mailstore_commit_seconds_bucket[5m])) > 1";
      for = "15m";
      summary = "A group commit on {{ $labels.host }} takes more than a second: its array is overloaded or rebuilding.";
    }
  ];
}
