# When monitoring calls somebody about a disk array (E12). Its state is in the node exporter's textfile, so there is no page of its own.
{
  alerts = [
    {
      name = "ArrayWithoutOwner";
      expr = "max by (array) (chasqui_array_owned) == 0 or absent(chasqui_array_owned)";
      for = "2m";
      severity = "critical";
      summary = "No controller runs the array {{ $labels.array }}: if one died, fence it and start chasqui-array-takeover@ on the other.";
    }
    {
      name = "ArrayStopped";
      expr = "chasqui_array_running == 0";
      for = "2m";
      severity = "critical";
      summary = "{{ $labels.group }} of {{ $labels.host }} does not run: systemctl status chasqui-array-{{ $labels.array }}";
    }
    {
      name = "ArrayDegraded";
      expr = "chasqui_array_missing_drives == 1";
      for = "1m";
      severity = "warning";
      summary = "{{ $labels.group }} of {{ $labels.host }} has lost a drive; replace it: mdadm --detail /dev/md/{{ $labels.group }}";
    }
    {
      name = "ArrayWithoutReserve";
      expr = "chasqui_array_missing_drives >= 2";
      for = "0m";
      severity = "critical";
      summary = "{{ $labels.group }} of {{ $labels.host }} has lost two drives; one more and its data is lost.";
    }
    {
      name = "ArrayWithoutSpare";
      expr = "sum by (host, array) (chasqui_array_spare_drives) == 0";
      for = "1h";
      severity = "warning";
      summary = "The array {{ $labels.array }} of {{ $labels.host }} has no spare drive left.";
    }
    {
      name = "ArrayMismatches";
      expr = "chasqui_array_mismatches > 0";
      for = "0m";
      severity = "warning";
      summary = "The last scrub of {{ $labels.group }} of {{ $labels.host }} found data that does not fit its parity; look at the drives' SMART values.";
    }
  ];
}
