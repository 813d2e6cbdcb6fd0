# When monitoring calls somebody about backups (E16). Their state is in the node exporter's textfile.
{
  alerts = [
    {
      name = "BackupMissing";
      expr = "time() - chasqui_backup_succeeded_time_seconds > 2 * 86400";
      for = "1h";
      severity = "critical";
      summary = "{{ $labels.host }} has no backup of {{ $labels.of }} that is younger than two days: systemctl status chasqui-backup@{{ $labels.of }}";
    }
    {
      name = "BackupIncomplete";
      expr = "chasqui_backup_failed_entries > 0";
      for = "1h";
      severity = "warning";
      summary = "The last backup of {{ $labels.of }} on {{ $labels.host }} lacks {{ $value }} of its folders.";
    }
    {
      name = "RestoreNotPractised";
      expr = "time() - max by (host) (chasqui_backup_drill_time_seconds) > 15 * 86400";
      for = "1h";
      severity = "warning";
      summary = "No restore was practised on {{ $labels.host }} for two weeks: systemctl status chasqui-backup-drill";
    }
    {
      name = "BackupDiffers";
      expr = "chasqui_backup_drill_different_messages > 0";
      for = "0m";
      severity = "critical";
      summary = "A drill on {{ $labels.host }} found messages of {{ $labels.of }} that differ between backup and host.";
    }
  ];
}
