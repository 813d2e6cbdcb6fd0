# The router (E3): public addresses to the façade or to hosts, hosts to the internet, and the addresses that a pair of edge hosts holds.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.router;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  roles = config.chasqui.roles;
  isRouter = lib.elem "router" roles;
  derived = if isRouter then chasquiLib.router.fromSite site host else null;
  fromSite = name: default: if derived != null then derived.${name} else default;
  siteText = lib.literalMD "from the site file";
  typed = {
    inherit (cfg)
      translations
      egress
      inside
      mail
      ;
  };
  drain = pkgs.writeShellApplication {
    name = "chasqui-router-drain";
    runtimeInputs = [
      pkgs.conntrack-tools
      pkgs.coreutils
      pkgs.gawk
      pkgs.gnused
      pkgs.nftables
    ];
    text = builtins.readFile ./router-drain.sh;
  };
  strings =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };
  ports =
    kind:
    mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "${kind} ports.";
    };
in
{
  imports = [ ./vrrp.nix ];

  options.chasqui.router = {
    enable = mkOption {
      type = types.bool;
      default = isRouter;
      defaultText = lib.literalMD "whether the site file gives this host the role `router`";
      description = "Whether this host translates public addresses.";
    };

    translations = mkOption {
      default = fromSite "translations" [ ];
      defaultText = siteText;
      description = "Public addresses, and where what comes to them goes.";
      type = types.listOf (
        types.submodule {
          options = {
            name = mkOption {
              type = types.strMatching "[a-z][a-z0-9-]*";
              description = "The entry's name in `publish`.";
            };
            family = mkOption {
              type = types.enum [
                4
                6
              ];
              default = 4;
              description = "Of which family the addresses are.";
            };
            public = strings "The public addresses.";
            tcp = ports "TCP";
            udp = ports "UDP";
            spread = mkOption {
              type = types.bool;
              default = true;
              description = "Whether every public address is spread over all targets, by a hash of the client; else the i-th address has the i-th target, and the next ones stand in for it.";
            };
            targets = mkOption {
              description = "Where it goes, in the order in which they stand in for each other.";
              type = types.listOf (
                types.submodule {
                  options = {
                    name = mkOption {
                      type = types.strMatching "[A-Za-z0-9.:-]+";
                      description = "What `chasqui-router-drain` calls it.";
                    };
                    address = mkOption {
                      type = types.str;
                      description = "Its address.";
                    };
                    drain = mkOption {
                      type = types.bool;
                      default = false;
                      description = "Whether it gets no new connections.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };

    egress = mkOption {
      type = types.listOf types.str;
      default = fromSite "egress" [ ];
      defaultText = siteText;
      description = "The public addresses that the hosts behind this one go out with, at most one a family. Without one nobody does.";
    };

    mail = mkOption {
      default = fromSite "mail" [ ];
      defaultText = siteText;
      description = "The public addresses that relays send mail out with, to port 25 of others.";
      type = types.listOf (
        types.submodule {
          options = {
            host = mkOption {
              type = types.strMatching "[A-Za-z0-9.-]+";
              description = "The relay, for a comment.";
            };
            from = strings "Its addresses of one family.";
            to = mkOption {
              type = types.str;
              description = "The public address, of the same family.";
            };
          };
        }
      );
    };

    inside = {
      devices = mkOption {
        type = types.listOf types.str;
        default = if derived != null then derived.inside.devices else [ ];
        defaultText = siteText;
        description = "The interfaces towards those hosts.";
      };
      prefixes = mkOption {
        type = types.listOf types.str;
        default = if derived != null then derived.inside.prefixes else [ ];
        defaultText = siteText;
        description = "Their networks.";
      };
    };
  };

  config = lib.mkMerge [
    # Firewalls and routers hold addresses: gateways of the networks behind them, and public ones.
    (lib.mkIf (lib.elem "firewall" roles || isRouter) {
      chasqui.vrrp.instances = chasquiLib.router.instances site host;
    })

    (lib.mkIf cfg.enable {
      assertions =
        map (entry: {
          assertion = entry.targets != [ ];
          message = "chasqui.router.translations: `${entry.name}' has public IPv${toString entry.family} addresses and nowhere to go; give publish.${entry.name} façade addresses of that family, or a server of its role an address in a service network.";
        }) cfg.translations
        ++ map (entry: {
          assertion = lib.all (address: chasquiLib.family address == entry.family) (
            entry.public ++ map (target: target.address) entry.targets
          );
          message = "chasqui.router.translations: `${entry.name}' mixes families; an IPv4 address is translated to IPv4 addresses, an IPv6 address to IPv6 ones.";
        }) cfg.translations
        ++ [
          {
            assertion = lib.all (family: lib.length (chasquiLib.ofFamily family cfg.egress) <= 1) [
              4
              6
            ];
            message = "chasqui.router.egress: ${lib.concatStringsSep ", " cfg.egress} are several addresses of one family; keep one.";
          }
          {
            assertion = derived == null || cfg.inside.devices != [ ];
            message = "hosts.${toString host}: a router needs an interface in a network of kind `service'; give it one in the site file.";
          }
        ];

      networking.nftables.enable = true;
      networking.nftables.tables.chasqui_router = {
        family = "inet";
        content = chasquiLib.router.render typed;
      };

      environment.etc."chasqui/router-targets".text = chasquiLib.router.targetsText typed;
      environment.systemPackages = [ drain ];

      # Whoever loads the rules anew takes away what was drained by hand.
      systemd.services.chasqui-router-drained = {
        description = "Targets that an operator has drained";
        wantedBy = [ "multi-user.target" ];
        after = [ "nftables.service" ];
        partOf = [ "nftables.service" ];
        unitConfig.ReloadPropagatedFrom = "nftables.service";
        serviceConfig = {
          Type = "oneshot";
          RemainAfterExit = true;
          ExecStart = "${lib.getExe drain} --again";
          ExecReload = "${lib.getExe drain} --again";
          RuntimeDirectory = "chasqui-router";
          RuntimeDirectoryPreserve = true;
          CapabilityBoundingSet = [ "CAP_NET_ADMIN" ];
          NoNewPrivileges = true;
          PrivateDevices = true;
          PrivateTmp = true;
          ProtectHome = true;
          ProtectSystem = "strict";
          RestrictAddressFamilies = [ "AF_NETLINK" ];
        };
      };
    })
  ];
}
