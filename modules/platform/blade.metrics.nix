# When monitoring calls somebody about a blade's hardware (E10). What its controller measures is in the node exporter's textfile.
{
  alerts = [
    {
      name = "HardwareUnwell";
      expr = "chasqui_blade_sensor_nominal == 0";
      for = "5m";
      severity = "warning";
      summary = "The sensor {{ $labels.name }} ({{ $labels.kind }}) of {{ $labels.host }} is not as it should be.";
    }
  ];
}
