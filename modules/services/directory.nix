# The directory role: which node owns an address, and is the password right (S5).
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  folder = "/var/lib/chasqui/directory";
  role =
    import ./role.nix
      {
        inherit
          config
          lib
          pkgs
          chasquiLib
          ;
      }
      {
        role = "directory";
        title = "the directory";
        derived = {
          metrics = "127.0.0.1:${toString (import ./directory.metrics.nix).port}";
          database.path = "${folder}/directory.sqlite";
        }
        // lib.optionalAttrs (site != null) (chasquiLib.roles.directory site config.chasqui.host);
        keys = [ "keys" ];
        reloadable = [
          "database"
          "keys"
          "limits"
          "tls"
          "verify"
        ];
        listens = [ "listen" ];
        certificate = "tls";
        serviceConfig = {
          StateDirectory = "chasqui/directory";
          StateDirectoryMode = "0700";
          # An empty file of the role's own user: whoever fills the database, root too, leaves it the role's (SQLite keeps its owner).
          ExecStartPre = "${lib.getExe' pkgs.coreutils "touch"} ${cfg.settings.database.path}";
          ReadWritePaths = lib.mkIf (!(lib.hasPrefix "${folder}/" cfg.settings.database.path)) [
            (dirOf cfg.settings.database.path)
          ];
        };
        assertions = [
          {
            assertion = lib.hasPrefix "/" cfg.settings.database.path;
            message = "services.chasqui.directory.settings.database.path: ${cfg.settings.database.path} is relative; give the whole path.";
          }
        ];
        extra = {
          # The operator's commands: `chasqui user add …`.
          environment.systemPackages = [ cfg.package ];
          chasqui.openings.directory = {
            tcp = role.openPorts [ "listen" ];
            udp = role.openPorts [ "listen" ];
            from = [
              "role:mx"
              "role:proxy"
              "role:relay"
              "role:storage"
            ];
          };
          chasqui.backupPaths.directory = {
            path = "${folder}/backup";
            # A copy that is whole, while the directory goes on.
            before = toString (
              pkgs.writeShellScript "chasqui-directory-dump" ''
                set -eu
                ${lib.getExe' pkgs.coreutils "mkdir"} -p -m 0700 ${folder}/backup
                ${lib.getExe' pkgs.coreutils "rm"} -f ${folder}/backup/directory.sqlite
                ${lib.getExe' pkgs.sqlite "sqlite3"} ${cfg.settings.database.path} "VACUUM INTO '${folder}/backup/directory.sqlite'"
              ''
            );
          };
        };
      };
  inherit (role) cfg;
in
{
  imports = [
    ./package.nix
    ../renewals.nix
  ];
  inherit (role) options config;
}
