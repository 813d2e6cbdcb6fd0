# Addresses that a pair of hosts holds between them (E2, E3, E4), by NixOS' own keepalived.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.vrrp;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  names = lib.attrNames cfg.instances;
in
{
  options.chasqui.vrrp = {
    instances = mkOption {
      default = { };
      description = "Sets of addresses, each held by the first living host of those that share it.";
      type = types.attrsOf (
        types.submodule {
          options = {
            interface = mkOption {
              type = types.nullOr types.str;
              description = "The interface on which the hosts hear each other, and which gets the addresses.";
            };
            id = mkOption {
              type = types.ints.between 1 255;
              description = "The virtual router's number, unique in the network.";
            };
            priority = mkOption {
              type = types.ints.between 1 254;
              default = 100;
              description = "Who comes first: the highest that lives.";
            };
            source = mkOption {
              type = types.nullOr types.str;
              description = "This host's own address there.";
            };
            peers = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The addresses of the other hosts there.";
            };
            addresses = mkOption {
              type = types.listOf types.str;
              example = [ "192.0.2.1" ];
              description = "The addresses that move, of one family or both.";
            };
            group = mkOption {
              type = types.strMatching "[a-z][a-z0-9-]*";
              description = "Instances of a group move together.";
            };
            trackScripts = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Scripts of `services.keepalived.vrrpScripts` without whose success this host gives the addresses away.";
            };
            preempt = mkOption {
              type = types.bool;
              default = false;
              description = "Whether a host that comes back takes its addresses again, after a minute. Default: it waits for the other to fail, because each move is felt.";
            };
          };
        }
      );
    };

    passwordFile = mkOption {
      type = types.str;
      default =
        if site != null && host != null then
          chasquiLib.secret site host "vrrp"
        else
          "/etc/chasqui/secrets/vrrp";
      defaultText = lib.literalMD "`secrets.vrrp` of the site file";
      description = "A file outside the Nix store with the line `VRRP_PASSWORD=…`, at most eight characters, the same on all hosts that share addresses. It signs what they say to each other (AH).";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf (cfg.instances != { }) {
      assertions = [
        {
          assertion = chasquiLib.notInStore cfg.passwordFile;
          message = "chasqui.vrrp.passwordFile: ${cfg.passwordFile} is in the Nix store, where everybody can read it; keep the password in a file outside, such as /etc/chasqui/secrets/vrrp.";
        }
      ]
      ++ lib.concatMap (
        name:
        let
          instance = cfg.instances.${name};
          twins = lib.filter (
            other:
            cfg.instances.${other}.interface == instance.interface && cfg.instances.${other}.id == instance.id
          ) names;
        in
        [
          {
            assertion = instance.interface != null && instance.source != null;
            message = "chasqui.vrrp.instances.${name}: this host has no address in the network of ${lib.concatStringsSep ", " instance.addresses}; give it an interface there, so that it can hold them.";
          }
          {
            assertion = lib.length twins == 1;
            message = "chasqui.vrrp.instances.${name}.id: ${toString instance.id} is used by ${lib.concatStringsSep " and " twins} on ${toString instance.interface}; give each its own number.";
          }
        ]
      ) names;

      services.keepalived = {
        enable = true;
        secretFile = cfg.passwordFile;
        extraGlobalDefs = "router_id ${config.networking.hostName}";
        vrrpInstances = lib.mapAttrs (_: chasquiLib.vrrp.toNixos) cfg.instances;
        extraConfig = chasquiLib.vrrp.groupsText cfg.instances;
      };

      chasqui.openings = lib.mapAttrs' (
        name: instance:
        lib.nameValuePair "vrrp-${name}" {
          protocols = [
            "vrrp"
            "ah"
          ];
          from = instance.peers;
        }
      ) (lib.filterAttrs (_: instance: instance.peers != [ ]) cfg.instances);
      chasqui.logTags.keepalived = "keepalived.service";

      # networkd takes away what it did not give, each time that it starts or a file of its changes.
      systemd.network.networks = lib.listToAttrs (
        map (interface: lib.nameValuePair "20-${interface}" { networkConfig.KeepConfiguration = "static"; })
          (
            lib.filter (interface: config.chasqui.network.interfaces ? ${interface}) (
              lib.unique (
                lib.concatMap (instance: lib.optional (instance.interface != null) instance.interface) (
                  lib.attrValues cfg.instances
                )
              )
            )
          )
      );
    })

    # Scripts that watch something run as this user, which NixOS' module expects and does not make.
    (lib.mkIf config.services.keepalived.enable {
      services.keepalived.enableScriptSecurity = true;
      users.users.keepalived_script = {
        isSystemUser = true;
        group = "keepalived_script";
        description = "Runs keepalived's checks";
      };
      users.groups.keepalived_script = { };
    })
  ];
}
