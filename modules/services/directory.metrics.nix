# What monitoring asks the directory server, and when it calls somebody.
{
  port = 9101;
  alerts = [
    {
      name = "ChasquiDirectoryDown";
      expr = ''up{job="directory"} == 0'';
      for = "2m";
      severity = "critical";
      summary = "The directory role of {{ $labels.host }} does not answer: see `systemctl status chasqui-directory` there.";
    }
    {
      name = "ChasquiDirectoryBusy";
      expr = ''rate(chasqui_directory_verifications_total{result="busy"}[5m]) > 0'';
      summary = "Log-ins are turned away on {{ $labels.host }} because its password checks queue: add cores or a directory server.";
    }
  ];
}
