# The façade (E4): on balancers, Linux Virtual Servers that keepalived watches; on the servers behind them, the addresses that they answer for.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.facade;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  roles = config.chasqui.roles;
  isFacade = lib.elem "facade" roles;
  derived = if isFacade then chasquiLib.facade.fromSite site host else null;

  servers = lib.attrValues cfg.virtualServers;
  byMethod = method: lib.filter (server: server.method == method) servers;
  halves = lib.unique (map (server: server.address) (byMethod "DR" ++ byMethod "TUN"));
  group =
    protocol:
    lib.unique (map (server: server.port) (lib.filter (server: server.protocol == protocol) servers));
  loops = lib.filter (name: cfg.virtualServers.${name}.realServers ? ${toString host}) (
    lib.attrNames cfg.virtualServers
  );

  share = pkgs.writeShellApplication {
    name = "chasqui-facade-share";
    text = builtins.readFile ./facade-share.sh;
  };
  drain = pkgs.writeShellApplication {
    name = "chasqui-facade-drain";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.gawk
      pkgs.gnugrep
      pkgs.ipvsadm
    ];
    text = builtins.readFile ./facade-drain.sh;
  };
  serverList = lib.unique (
    lib.concatMap (
      server: lib.mapAttrsToList (name: real: "${name} ${real.address}") server.realServers
    ) servers
  );
in
{
  imports = [
    ./firewall.nix
    ./vrrp.nix
  ];

  options.chasqui.facade = {
    enable = mkOption {
      type = types.bool;
      default = isFacade;
      defaultText = lib.literalMD "whether the site file gives this host the role `facade`";
      description = "Whether this host balances connections.";
    };

    virtualServers = mkOption {
      default = if derived != null then derived.virtualServers else { };
      defaultText = lib.literalMD "one for each façade address and port that the site publishes";
      description = "The virtual servers, by any name.";
      type = types.attrsOf (
        types.submodule {
          options = {
            address = mkOption {
              type = types.str;
              description = "The address that clients, or the router, send to.";
            };
            port = mkOption {
              type = types.port;
              description = "The port, here and on the servers.";
            };
            protocol = mkOption {
              type = types.enum [
                "tcp"
                "udp"
              ];
              default = "tcp";
              description = "The protocol.";
            };
            comment = mkOption {
              type = types.singleLineStr;
              default = "";
              description = "What it is for.";
            };
            scheduler = mkOption {
              type = types.enum [
                "wlc"
                "wrr"
                "sh"
                "mh"
              ];
              default = "wlc";
              description = "How connections are spread: by the fewest, in turn, or by a hash of the client; all heed the weights.";
            };
            persistence = mkOption {
              type = types.nullOr types.ints.positive;
              default = null;
              description = "For how many seconds a client keeps its server. Default: each connection is free to go anywhere.";
            };
            method = mkOption {
              type = types.enum [
                "DR"
                "NAT"
                "TUN"
              ];
              default = "DR";
              description = "How packets reach servers: unchanged over the same wire (`DR`), with another destination (`NAT`, servers answer through this host), or in a tunnel (`TUN`).";
            };
            check = mkOption {
              type = types.enum [
                "smtp"
                "tcp"
                "dns"
                "udp"
                "none"
              ];
              default = "tcp";
              description = "How keepalived itself tries a server.";
            };
            greeting = mkOption {
              type = types.nullOr (
                types.enum [
                  "smtp"
                  "imap"
                  "pop"
                ]
              );
              default = null;
              description = "The protocol of a server that speaks first and in clear: its greeting is waited for and timed. Default: the connection is.";
            };
            sorryServer = mkOption {
              default = null;
              description = "Where connections go when no server works. Default: clients are refused at once, and try another of the name's addresses (E1).";
              type = types.nullOr (
                types.submodule {
                  options = {
                    address = mkOption {
                      type = types.str;
                      description = "Its address.";
                    };
                    port = mkOption {
                      type = types.port;
                      description = "Its port.";
                    };
                  };
                }
              );
            };
            realServers = mkOption {
              description = "The servers, by host.";
              type = types.attrsOf (
                types.submodule {
                  options = {
                    address = mkOption {
                      type = types.str;
                      description = "Its address.";
                    };
                    weight = mkOption {
                      type = types.ints.between 0 253;
                      default = 100;
                      description = "Its share when it answers promptly; 0 gets no new connections.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };

    check = {
      interval = mkOption {
        type = types.ints.positive;
        default = 5;
        description = "Seconds from one try of a server to the next.";
      };
      timeout = mkOption {
        type = types.ints.positive;
        default = 3;
        description = "Seconds that a server has to answer.";
      };
      retries = mkOption {
        type = types.ints.unsigned;
        default = 2;
        description = "Further tries before a server counts as failed.";
      };
      helo = mkOption {
        type = types.str;
        default = if derived != null then derived.helo else config.networking.hostName;
        defaultText = lib.literalMD "the host's internal name";
        description = "The name that this host gives to mail exchangers.";
      };
      zone = mkOption {
        type = types.nullOr types.str;
        default = if derived != null then derived.zone else null;
        defaultText = lib.literalMD "the first domain of the site";
        description = "The zone that DNS servers are asked for.";
      };
    };

    syncInterface = mkOption {
      type = types.nullOr types.str;
      default =
        let
          instances = lib.attrValues (
            lib.filterAttrs (name: _: lib.hasPrefix "facade-" name) config.chasqui.vrrp.instances
          );
        in
        if isFacade && instances != [ ] then (lib.head instances).interface else null;
      defaultText = lib.literalMD "the interface of the façade addresses";
      description = "Where the active balancer tells the other of its connections, so that these outlive it; null for nowhere.";
    };

    held = mkOption {
      type = types.listOf types.str;
      default = if roles != [ ] then chasquiLib.facade.heldBy site host else [ ];
      defaultText = lib.literalMD "the façade addresses of the roles that the site file gives this host";
      description = "Addresses of virtual servers that balance to this host by `DR`: it takes them for its own, and tells no neighbour.";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf cfg.enable {
      assertions =
        lib.mapAttrsToList (name: server: {
          assertion = server.realServers != { };
          message = "chasqui.facade.virtualServers.${name}: no server is behind it; give a host of the data centre the role and an address in the network of ${server.address}, or take the façade address out of `publish'.";
        }) cfg.virtualServers
        ++ lib.mapAttrsToList (name: server: {
          assertion = lib.all (real: chasquiLib.family real.address == chasquiLib.family server.address) (
            lib.attrValues server.realServers
          );
          message = "chasqui.facade.virtualServers.${name}: ${server.address} cannot be spread over addresses of the other family; give each server one of the same.";
        }) cfg.virtualServers
        ++ lib.mapAttrsToList (name: server: {
          assertion = server.check != "dns" || cfg.check.zone != null;
          message = "chasqui.facade.check.zone: `${name}' balances DNS servers, which are asked for a zone; name one.";
        }) cfg.virtualServers
        ++ map (address: {
          assertion = false;
          message = "publish.*.at.*.facade: ${address} lies in no network of kind `service' of this data centre, so that no balancer can hold it; take an address of one.";
        }) (if derived != null then derived.lost else [ ])
        ++ [
          {
            assertion = loops == [ ];
            message = "chasqui.facade.virtualServers: ${toString host} balances to itself in ${lib.concatStringsSep ", " loops}, and would keep every connection; move the role `facade' to hosts without the roles that it balances.";
          }
        ];

      services.keepalived = {
        enable = true;
        extraGlobalDefs = lib.optionalString (
          cfg.syncInterface != null && config.chasqui.vrrp.instances != { }
        ) "lvs_sync_daemon ${cfg.syncInterface} ${lib.head (lib.attrNames config.chasqui.vrrp.instances)}";
        extraConfig = chasquiLib.facade.render {
          inherit (cfg) virtualServers check;
          shareProgram = lib.getExe share;
          user = "keepalived_script";
        };
      };
      chasqui.vrrp.instances = lib.mkIf isFacade (chasquiLib.facade.instances site host);

      boot.kernelModules = [ "ip_vs" ] ++ lib.unique (map (server: "ip_vs_${server.scheduler}") servers);
      boot.kernel.sysctl = {
        # A drained server loses the clients that would come back to it, too.
        "net.ipv4.vs.expire_quiescent_template" = true;
      }
      // lib.optionalAttrs (byMethod "NAT" != [ ]) {
        "net.ipv4.conf.all.forwarding" = true;
        "net.ipv6.conf.all.forwarding" = true;
      };

      environment.etc."chasqui/facade-servers".text = lib.concatMapStrings (line: line + "\n") serverList;
      environment.systemPackages = [
        drain
        pkgs.ipvsadm
      ];
      systemd.tmpfiles.rules = [
        "d /run/chasqui-facade 0755 root root -"
        "d /run/chasqui-facade/drain 0755 root root -"
        "d /run/chasqui-facade/times 0755 keepalived_script keepalived_script -"
      ];

      chasqui.firewall.untracked = halves;
      chasqui.openings.facade = {
        tcp = group "tcp";
        udp = group "udp";
        from = [ "any" ];
      };
      # The connections of the active balancer (multicast to 224.0.0.81).
      chasqui.openings.facade-sync = lib.mkIf (cfg.syncInterface != null && isFacade) {
        udp = [ 8848 ];
        from = [ "role:facade" ];
      };
    })

    (lib.mkIf (cfg.held != [ ]) {
      assertions = [
        {
          assertion = !cfg.enable;
          message = "chasqui.facade.held: a balancer holds its virtual servers' addresses by VRRP; leave `held' empty on it.";
        }
      ];
      systemd.network.netdevs."30-facade0".netdevConfig = {
        Name = "facade0";
        Kind = "dummy";
      };
      systemd.network.networks."30-facade0" = {
        matchConfig.Name = "facade0";
        linkConfig.RequiredForOnline = false;
        addresses = map (
          address:
          if chasquiLib.isIPv6 address then
            {
              Address = "${address}/128";
              DuplicateAddressDetection = "none";
            }
          else
            { Address = "${address}/32"; }
        ) cfg.held;
      };
      # Neighbours hear of an address only on the interface that has it.
      boot.kernel.sysctl = {
        "net.ipv4.conf.all.arp_ignore" = 1;
        "net.ipv4.conf.all.arp_announce" = 2;
      };
    })
  ];
}
