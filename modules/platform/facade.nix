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
    ./facade-servers.nix
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
