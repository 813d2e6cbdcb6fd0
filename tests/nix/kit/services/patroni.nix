# nixos/modules/services/cluster/patroni/default.nix: one YAML file of our settings and those that the module adds.
{ lib, formats, ... }:
{
  covers = [
    [
      "services"
      "patroni"
      "settings"
    ]
  ];
  files =
    config: _:
    let
      cfg = config.services.patroni;
    in
    lib.optionalAttrs (cfg.enable == true) {
      "etc/patroni.yml" = formats.yaml { } (
        lib.recursiveUpdate {
          inherit (cfg) scope name;
          namespace = "/service";
          restapi = {
            listen = "${cfg.nodeIp}:${toString cfg.restApiPort}";
            connect_address = "${cfg.nodeIp}:${toString cfg.restApiPort}";
          };
          postgresql = {
            listen = "${cfg.nodeIp}:${toString cfg.postgresqlPort}";
            connect_address = "${cfg.nodeIp}:${toString cfg.postgresqlPort}";
            data_dir = cfg.postgresqlDataDir;
            bin_dir = "${cfg.postgresqlPackage}/bin";
            pgpass = "/var/lib/patroni/pgpass";
          };
        } cfg.settings
      );
    };
}
