# What monitoring watches of itself.
{
  alerts = [
    {
      name = "AlertsNotSent";
      expr = "rate(alertmanager_notifications_failed_total[15m]) > 0";
      for = "15m";
      severity = "warning";
      summary = "Alertmanager on {{ $labels.host }} cannot send mail.";
    }
  ];
}
