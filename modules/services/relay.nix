# The relay: takes the users' mail, keeps it in a durable queue and sends it out (S1, S11). Relays are a group: each has a queue of its own.
#
# The queue is not backed up: what a backup brings back was sent long ago, and would be sent again. It is on the relay's own disk, one
# file a message, and a relay that is to go hands it to a peer (`chasqui queue drain`).
#
# DKIM keys belong to the role's user: a folder a domain, as `chasqui dkim rotate` makes it, the same on every relay.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  folder = "/var/lib/chasqui/relay";
  user = "chasqui-relay";
  queue = cfg.settings.queue.path;
  keys = cfg.settings.signing.keys;
  domains = if site == null then [ ] else lib.attrNames site.domains;
  age = pkgs.writeShellApplication {
    name = "chasqui-dkim-age";
    runtimeInputs = [
      cfg.package
      pkgs.coreutils
      pkgs.jq
    ];
    text = builtins.readFile ./relay/dkim-age.sh;
  };
  users = [
    "submission"
    "submissions"
  ];
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
        role = "relay";
        title = "the relay";
        derived = lib.recursiveUpdate {
          metrics = "127.0.0.1:${toString (import ./relay.metrics.nix).port}";
          control = "/run/chasqui/relay.sock";
          queue.path = "${folder}/queue";
          delivery_tls.state = "${folder}/tls";
        } (lib.optionalAttrs (site != null) (chasquiLib.roles.relay site config.chasqui.host));
        reloadable = [
          "delivery"
          "hostname"
          "notices"
          "public_tls"
          "senders"
          "signing"
          "tls"
        ];
        listens = users ++ [ "inside" ];
        certificate = "public_tls";
        serviceConfig = {
          StateDirectory = "chasqui/relay";
          StateDirectoryMode = "0700";
          # The control socket, of which root's commands know.
          RuntimeDirectory = "chasqui";
          RuntimeDirectoryMode = "0700";
          ReadWritePaths = lib.mkIf (!(lib.hasPrefix "${folder}/" queue)) [ queue ];
        };
        assertions = [
          {
            assertion = lib.hasPrefix "/" queue;
            message = "services.chasqui.relay.settings.queue.path: `${queue}' is no absolute path; set it to the folder where mail waits.";
          }
          {
            assertion = keys == null || chasquiLib.notInStore keys;
            message = "services.chasqui.relay.settings.signing.keys: ${toString keys} is in the Nix store, which everybody may read; write the path as a string, of a folder that `chasqui dkim rotate' fills on the host.";
          }
        ];
        extra = {
          # The operator's commands: `chasqui queue …`, `chasqui dkim …`.
          environment.systemPackages = [ cfg.package ];
          systemd.services.${user} = {
            after = [
              "chasqui-directory.service"
              "unbound.service"
            ];
            unitConfig.RequiresMountsFor = [ queue ];
          };
          # Keys that root brought are the role's from the next start on.
          systemd.tmpfiles.settings.chasqui-relay = lib.mkIf (keys != null) {
            ${keys} = {
              d = {
                mode = "0700";
                inherit user;
                group = user;
              };
              Z = {
                mode = "~0700";
                inherit user;
                group = user;
              };
            };
          };
          chasqui.renewals.${user} = lib.mkIf (keys != null) (
            map (domain: "${keys}/${domain}/selectors.json") domains
          );
          systemd.timers.chasqui-dkim-age = lib.mkIf (keys != null && domains != [ ]) {
            description = "Look how old the keys of signatures are";
            wantedBy = [ "timers.target" ];
            timerConfig = {
              OnCalendar = "hourly";
              RandomizedDelaySec = "10min";
            };
          };
          systemd.services.chasqui-dkim-age = lib.mkIf (keys != null && domains != [ ]) {
            description = "Look how old the keys of signatures are";
            serviceConfig = {
              Type = "oneshot";
              ExecStart = "${lib.getExe age} ${keys} /var/lib/chasqui-metrics ${lib.concatStringsSep " " domains}";
              ReadWritePaths = [ "-/var/lib/chasqui-metrics" ];
              # The keys are the role's.
              CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
              NoNewPrivileges = true;
              PrivateDevices = true;
              PrivateNetwork = true;
              PrivateTmp = true;
              ProtectHome = true;
              ProtectSystem = "strict";
              SystemCallErrorNumber = "EPERM";
              SystemCallFilter = [
                "@system-service"
                "~@privileged"
              ];
            };
          };
          chasqui.openings.relay = {
            tcp = role.openPorts users;
            from = [
              "published"
              "role:facade"
            ];
          };
          chasqui.openings.relay-inside = {
            tcp = role.openPorts [ "inside" ];
            from = [
              "role:mx"
              "role:relay"
              "role:storage"
            ];
          };
          chasqui.healthChecks = lib.listToAttrs (
            map (port: {
              name = "relay-${toString port}";
              value = {
                inherit port;
                # Inside TLS there is no greeting to look at.
                expect = if lib.elem port (role.openPorts [ "submission" ]) then "220 " else null;
              };
            }) (role.openPorts users)
          );
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
