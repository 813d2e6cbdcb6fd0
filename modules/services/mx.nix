# The exchanger: takes mail for the site's domains and hands it to the owning nodes (S7), on hosts of its own or not, as the site says (S1).
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  folder = "/var/lib/chasqui/mx";
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
        role = "mx";
        title = "the mail exchanger";
        derived = lib.recursiveUpdate {
          metrics = "127.0.0.1:${toString (import ./mx.metrics.nix).port}";
          spool.path = "${folder}/spool";
          filter.connection.greylist.path = "${folder}/greylist.db";
        } (lib.optionalAttrs (site != null) (chasquiLib.roles.mx site config.chasqui.host));
        reloadable = [
          "hostname"
          "limits"
          "postmaster"
          "public_tls"
          "tls"
          "when_unavailable"
        ];
        listens = [ "listen" ];
        certificate = "public_tls";
        serviceConfig = {
          StateDirectory = "chasqui/mx";
          StateDirectoryMode = "0700";
          ReadWritePaths = lib.mkIf (!(lib.hasPrefix "${folder}/" cfg.settings.spool.path)) [
            cfg.settings.spool.path
          ];
        };
        extra = {
          systemd.services.chasqui-mx = {
            after = [
              "chasqui-directory.service"
              "unbound.service"
            ];
            unitConfig.RequiresMountsFor = [ cfg.settings.spool.path ];
          };
          chasqui.openings.mx = {
            tcp = role.openPorts [ "listen" ];
            from = [
              "published"
              "role:facade"
            ];
          };
          chasqui.healthChecks.mx = lib.mkIf (role.openPorts [ "listen" ] != [ ]) {
            port = lib.head (role.openPorts [ "listen" ]);
            expect = "220 ";
          };
          chasqui.backupPaths.mx.path = cfg.settings.spool.path;
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
