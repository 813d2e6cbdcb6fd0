# When monitoring calls somebody about a service that runs and does not answer: on every host.
{
  alerts = [
    {
      name = "ServiceDoesNotAnswer";
      expr = "chasqui_service_answers == 0";
      for = "2m";
      severity = "critical";
      summary = "{{ $labels.service }} of {{ $labels.host }} takes no connection, or greets wrongly.";
    }
    {
      name = "ServicesNotLookedAt";
      expr = ''time() - node_textfile_mtime_seconds{file=~".*/health.prom"} > 600'';
      for = "0m";
      severity = "warning";
      summary = "Nobody looks whether the services of {{ $labels.host }} answer: systemctl status chasqui-health";
    }
  ];
}
