# nixos/modules/services/security/clamav.nix: clamd's settings, a line each, with what NixOS sets itself.
{ lib, ... }:
let
  line =
    name: value:
    if builtins.isList value then
      lib.concatMapStrings (line name) value
    else
      "${name} ${if builtins.isBool value then if value then "true" else "false" else toString value}\n";
in
{
  covers = [
    [
      "services"
      "clamav"
      "daemon"
      "settings"
    ]
  ];
  files =
    config: _:
    let
      inherit (config.services.clamav) daemon;
    in
    lib.optionalAttrs (daemon.enable == true) {
      "etc/clamav/clamd.conf" = lib.concatStrings (
        lib.mapAttrsToList line (
          {
            DatabaseDirectory = "/var/lib/clamav";
            LocalSocket = "/run/clamav/clamd.ctl";
            PidFile = "/run/clamav/clamd.pid";
            User = "clamav";
            Foreground = true;
          }
          // daemon.settings
        )
      );
    };
}
