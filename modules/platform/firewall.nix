# The packet filter of every host, and of the hosts that others' packets pass through (E2).
#
# Closed unless opened: what may come in is what the host's own modules declare in `chasqui.openings`; what may pass through is what the
# site publishes, what its hosts need of the internet, and administrators on their way from the VPN to the management network.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.firewall;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = site != null && host != null && site.hosts ? ${host};
  derived = if known then chasquiLib.firewall.fromSite site host else null;
  passes = derived != null && derived.forwarding;
  fromSite = name: default: if passes then derived.${name} else default;
  siteText = lib.literalMD "from the site file";

  element = types.submodule {
    options = {
      address = mkOption {
        type = types.str;
        description = "An address or a prefix.";
      };
      comment = mkOption {
        type = types.str;
        default = "";
        description = "Whose it is.";
      };
    };
  };
  ports =
    kind:
    mkOption {
      type = types.listOf types.port;
      default = [ ];
      description = "${kind} ports.";
    };
  addresses =
    description:
    mkOption {
      type = types.listOf types.str;
      default = [ ];
      inherit description;
    };

  # Prefixes of the host's public networks without an address of its own there: it finds their hosts on the wire all the same.
  onLink =
    if !passes then
      [ ]
    else
      lib.concatMap (
        network:
        let
          n = site.networks.${network};
          own = chasquiLib.addressesOn site host network;
          bare = lib.filter (
            prefix:
            !(lib.any (chasquiLib.contains prefix) own)
            && lib.any (address: chasquiLib.family address == chasquiLib.family prefix) own
          ) n.prefixes;
        in
        lib.optional (n.kind == "public" && n.over == [ ] && bare != [ ]) {
          device = chasquiLib.network.deviceOn site host network;
          prefixes = bare;
        }
      ) (chasquiLib.networksOf site host);
in
{
  options.chasqui.firewall = {
    enable = mkOption {
      type = types.bool;
      default = known;
      defaultText = lib.literalMD "true with a site file";
      description = "Whether this module filters the host's packets, in place of NixOS' firewall.";
    };

    antiSpoof = mkOption {
      type = types.bool;
      default = true;
      description = "Whether packets are dropped whose sender could not be answered through the interface that they came from (RFC 3704).";
    };

    logRate = mkOption {
      type = types.nullOr (types.strMatching "[0-9]+/(second|minute|hour)");
      default = "5/second";
      description = "At most how many refused packets are logged, with the tag `chasqui-refused`; null for none.";
    };

    untracked = addresses "Addresses of this host whose connections are not tracked, because it sees one half of them only: a balancer's virtual servers.";

    forward = {
      enable = mkOption {
        type = types.bool;
        default = passes;
        defaultText = lib.literalMD "whether the host has the role `firewall`, `router` or `vpn`";
        description = "Whether packets of others pass through this host, by the rules below.";
      };

      zones = mkOption {
        type = types.attrsOf (types.listOf types.str);
        default = fromSite "zones" { };
        defaultText = siteText;
        description = "The interfaces of each zone: `uplink`, `public`, `service`, `storage`, `management`, `administrators` (VPN meshes that people are in) and `mesh` (the others).";
      };

      outside = mkOption {
        type = types.listOf types.str;
        default = fromSite "outside" [ ];
        defaultText = siteText;
        description = "The zone towards the internet; none on a mere VPN entrance.";
      };

      inside = mkOption {
        type = types.listOf types.str;
        default = fromSite "inside" [ ];
        defaultText = siteText;
        description = "The zones behind this host.";
      };

      published = mkOption {
        default = fromSite "published" [ ];
        defaultText = siteText;
        description = "What may be reached from outside, by its public addresses.";
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption {
                type = types.str;
                description = "The entry's name in `publish`.";
              };
              role = mkOption {
                type = types.str;
                default = "";
                description = "The role that serves it.";
              };
              names = addresses "Its public names.";
              addresses = addresses "Its public addresses.";
              tcp = ports "TCP";
              udp = ports "UDP";
              from = addresses "Who may reach it. Default everybody.";
            };
          }
        );
      };

      entrances = mkOption {
        default = fromSite "entrances" [ ];
        defaultText = siteText;
        description = "VPN entrances behind this host: their knocks and meshes pass, and they decide.";
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption {
                type = types.str;
                description = "What it is.";
              };
              addresses = addresses "Where it is reached.";
              udp = ports "UDP";
            };
          }
        );
      };

      egress = mkOption {
        default = fromSite "egress" [ ];
        defaultText = lib.literalMD "mail of the role `relay`; names, time and web of every host";
        description = "What hosts behind this one may open towards the internet.";
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption {
                type = types.strMatching "[a-z][a-z0-9-]*";
                description = "What for.";
              };
              tcp = ports "TCP";
              udp = ports "UDP";
              from = mkOption {
                type = types.listOf element;
                description = "Which hosts.";
              };
            };
          }
        );
      };

      administrators = mkOption {
        type = types.listOf element;
        default = fromSite "administrators" [ ];
        defaultText = siteText;
        description = "Who may pass from the VPN to the management network, by their addresses in the VPN.";
      };

      bogons = mkOption {
        type = types.listOf types.str;
        default = fromSite "bogons" [ ];
        defaultText = lib.literalMD "the ranges of RFC 6890 that no network of the site outside lies in";
        description = "Senders that the internet does not have.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion =
          !cfg.forward.enable
          || lib.all (zone: cfg.forward.zones ? ${zone}) (cfg.forward.outside ++ cfg.forward.inside);
        message = "chasqui.firewall.forward.zones: every zone of `outside' and `inside' needs its interfaces; add ${
          lib.concatStringsSep ", " (
            lib.filter (zone: !(cfg.forward.zones ? ${zone})) (cfg.forward.outside ++ cfg.forward.inside)
          )
        }.";
      }
      {
        assertion = !cfg.forward.enable || lib.length cfg.forward.outside <= 1;
        message = "chasqui.firewall.forward.outside: ${lib.concatStringsSep " and " cfg.forward.outside} cannot both be outside; put their interfaces into one zone.";
      }
      {
        assertion =
          derived == null
          || derived.outside == [ ]
          || lib.all (zone: cfg.forward.zones.${zone} != [ ]) derived.outside;
        message = "hosts.${toString host}: a ${
          if derived != null && derived.outside == [ "uplink" ] then
            "firewall needs an interface in a network of kind `uplink'"
          else
            "router needs an interface in a network of kind `public'"
        }; give it one in the site file.";
      }
    ];

    networking.firewall.enable = false;
    networking.nftables.enable = true;
    networking.nftables.tables.chasqui = {
      family = "inet";
      content = chasquiLib.firewall.render {
        openings = chasquiLib.firewall.openingRules site host config.chasqui.openings;
        inherit (cfg) antiSpoof logRate untracked;
        forward = if cfg.forward.enable then removeAttrs cfg.forward [ "enable" ] else null;
      };
    };

    boot.kernel.sysctl = {
      "net.ipv4.conf.all.accept_redirects" = false;
      "net.ipv4.conf.default.accept_redirects" = false;
      "net.ipv6.conf.all.accept_redirects" = false;
      "net.ipv6.conf.default.accept_redirects" = false;
    }
    // lib.optionalAttrs cfg.forward.enable {
      "net.ipv4.conf.all.forwarding" = true;
      "net.ipv6.conf.all.forwarding" = true;
      "net.ipv4.conf.all.send_redirects" = false;
      "net.ipv4.conf.default.send_redirects" = false;
      # 10,000 connections a second (E21), each remembered for some minutes; 320 octets each.
      "net.netfilter.nf_conntrack_max" = 2097152;
      "net.netfilter.nf_conntrack_buckets" = 524288;
    };
    boot.kernelModules = lib.optional cfg.forward.enable "nf_conntrack";

    systemd.network.networks = lib.listToAttrs (
      map (
        link:
        lib.nameValuePair "20-${link.device}" {
          routes = map (Destination: {
            inherit Destination;
            Scope = "link";
          }) link.prefixes;
        }
      ) onLink
    );
  };
}
