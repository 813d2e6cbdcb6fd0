# Renewed keys and certificates reach the services that use them by themselves (E19).
#
# systemd copies credentials when a unit starts, and again at a reload where `RefreshOnReload=credentials` says so (systemd 260). So
# `UNIT-renewed.path` waits for a change of any of the files: a unit that can is reloaded, which cuts no connection; another is restarted.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  systemctl = lib.getExe' pkgs.systemd "systemctl";
  renewed = pkgs.writeShellScript "chasqui-renewed" ''
    # A certificate and its key are renewed one after the other.
    ${lib.getExe' pkgs.coreutils "sleep"} 5
    case "$(${systemctl} show --property RefreshOnReload --value "$1")" in
    *credentials*) exec ${systemctl} try-reload-or-restart "$1" ;;
    *) exec ${systemctl} try-restart "$1" ;;
    esac
  '';
  renewals = lib.filterAttrs (_: files: files != [ ]) config.chasqui.renewals;
in
{
  config = {
    systemd.paths = lib.mapAttrs' (
      unit: files:
      lib.nameValuePair "${unit}-renewed" {
        description = "Watch the keys and certificates of ${unit}";
        wantedBy = [ "multi-user.target" ];
        pathConfig.PathChanged = files;
      }
    ) renewals;

    systemd.services = lib.mapAttrs' (
      unit: _:
      lib.nameValuePair "${unit}-renewed" {
        description = "Hand renewed keys and certificates to ${unit}";
        serviceConfig = {
          Type = "oneshot";
          ExecStart = "${renewed} ${unit}.service";
        };
      }
    ) renewals;
  };
}
