# nixos/modules/services/logging/rsyslogd.nix: journald's socket as the input, then the text as it is.
{ lib, ... }:
{
  covers = [
    [
      "services"
      "rsyslogd"
      "defaultConfig"
    ]
  ];
  files =
    config: _:
    lib.optionalAttrs (config.services.rsyslogd.enable == true) {
      "etc/syslog.conf" = ''
        $ModLoad imuxsock
        $SystemLogSocketName /run/systemd/journal/syslog
        $WorkDirectory /var/spool/rsyslog

        ${config.services.rsyslogd.defaultConfig}
      '';
    };
}
