# Single-packet authorisation (E2): the VPN's port is closed until a packet comes that is encrypted and signed with an administrator's keys.
#
# fwknopd hears the packet on a UDP port that answers nothing, and puts the sender into a set of the packet filter for some seconds. A
# tunnel that has begun goes on as long as it is used. IPv4 only: fwknop knows no IPv6.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.knock;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  isKnock = lib.elem "knock" config.chasqui.roles;
  derived = if isKnock then chasquiLib.knock.fromSite site host else null;
  siteText = lib.literalMD "from the site file";
  folder = {
    run = "/run/chasqui-knock";
    state = "/var/lib/chasqui-knock";
  };
  daemon = pkgs.writeText "fwknopd.conf" (
    chasquiLib.knock.daemonText {
      inherit (cfg) port;
      inherit folder;
    }
  );
  stanza = pkgs.writeText "access-stanza.conf" (
    chasquiLib.knock.accessText {
      inherit (cfg) ports open;
      nft = lib.getExe' pkgs.nftables "nft";
    }
  );
  access = pkgs.writeShellApplication {
    name = "chasqui-knock-access";
    runtimeInputs = [
      pkgs.coreutils
      pkgs.gawk
    ];
    text = builtins.readFile ./knock-access.sh;
  };
in
{
  imports = [ ./firewall.nix ];

  options.chasqui.knock = {
    enable = mkOption {
      type = types.bool;
      default = isKnock;
      defaultText = lib.literalMD "whether the site file gives this host the role `knock`";
      description = "Whether this host listens for knocks.";
    };

    package = lib.mkPackageOption pkgs "fwknop" { };

    port = mkOption {
      type = types.port;
      default = if derived != null then derived.port else 62201;
      defaultText = siteText;
      description = "The UDP port of knocks.";
    };

    open = mkOption {
      type = types.ints.positive;
      default = if derived != null then derived.open else 30;
      defaultText = siteText;
      description = "For how many seconds the ports are open to who knocked.";
    };

    ports = mkOption {
      type = types.listOf types.port;
      default = if derived != null then derived.ports else [ ];
      defaultText = lib.literalMD "the ports of the meshes that administrators enter here";
      description = "The UDP ports that a knock opens.";
    };

    persons = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9_.-]+");
      default = if derived != null then derived.persons else [ ];
      defaultText = siteText;
      description = "Who may knock; each has a key file of that name.";
    };

    keys = mkOption {
      type = types.str;
      default =
        if derived != null then chasquiLib.secret site host "knock" else "/etc/chasqui/secrets/knock";
      defaultText = lib.literalMD "`secrets.knock` of the site file";
      description = "A folder outside the Nix store with a file for each person: the two lines that `fwknop --key-gen` prints.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = chasquiLib.notInStore cfg.keys;
        message = "chasqui.knock.keys: ${cfg.keys} is in the Nix store, where everybody can read it; keep the keys in a folder outside, such as /etc/chasqui/secrets/knock.";
      }
      {
        assertion = cfg.ports != [ ];
        message = "chasqui.knock.ports: a knock opens nothing here; give the host the role `vpn' and an address in a mesh that administrators have addresses in, or take the role `knock' away.";
      }
      {
        assertion = cfg.persons != [ ];
        message = "chasqui.knock.persons: nobody may knock; add somebody to `administrators' in the site file.";
      }
      {
        assertion = config.chasqui.firewall.enable;
        message = "chasqui.firewall.enable: a knock opens ports of this packet filter; leave it on where chasqui.knock is.";
      }
    ];

    systemd.services.chasqui-knock = {
      description = "Single-packet authorisation in front of the VPN";
      wantedBy = [ "multi-user.target" ];
      after = [
        "network.target"
        "nftables.service"
      ];
      serviceConfig = {
        LoadCredential = map (person: "${person}:${cfg.keys}/${person}") cfg.persons;
        ExecStartPre = "${lib.getExe access} ${daemon} ${stanza} ${folder.run} ${lib.escapeShellArgs cfg.persons}";
        ExecStart = "${lib.getExe' cfg.package "fwknopd"} --foreground --config-file ${folder.run}/fwknopd.conf --access-file ${folder.run}/access.conf";
        Restart = "on-failure";
        RestartSec = "5s";
        DynamicUser = true;
        RuntimeDirectory = "chasqui-knock";
        RuntimeDirectoryMode = "0700";
        StateDirectory = "chasqui-knock";
        StateDirectoryMode = "0700";
        UMask = "0077";
        # For nft, which it runs.
        AmbientCapabilities = [ "CAP_NET_ADMIN" ];
        CapabilityBoundingSet = [ "CAP_NET_ADMIN" ];
        LockPersonality = true;
        MemoryDenyWriteExecute = true;
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectHome = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        ProtectProc = "invisible";
        ProtectSystem = "strict";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_NETLINK"
          "AF_UNIX"
        ];
        RestrictNamespaces = true;
        RestrictRealtime = true;
        RestrictSUIDSGID = true;
        SystemCallArchitectures = "native";
        SystemCallErrorNumber = "EPERM";
        SystemCallFilter = [
          "@system-service"
          "~@privileged @resources"
        ];
      };
    };

    chasqui.openings.knock = {
      udp = [ cfg.port ];
      from = [ "any" ];
    };
    chasqui.openings.knocked = {
      udp = cfg.ports;
      from = [ "knocked" ];
    };
    chasqui.logTags.knock = "chasqui-knock.service";
  };
}
