# Central logs (S2): each host sends its journal to the hosts of the role `log`, which keep it by host, tag and day for as long as the site says.
# A log host also sends its own to the others, so that one that is lost takes nothing along.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.syslog;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  derived = chasquiLib.syslog.fromSite site host;
  derive = name: fallback: {
    default = if known then derived.${name} else fallback;
    defaultText = lib.literalMD "from the site file";
  };
  collects = cfg.collect.enable;
  hostsFile = "chasqui/log-hosts.json";
  spool = "/var/spool/rsyslog";

  # Units that say under which tag their messages are filed. A name with a star stands for several, which say it themselves.
  tagged = lib.filterAttrs (
    _: unit: lib.hasSuffix ".service" unit && !(lib.hasInfix "*" unit)
  ) config.chasqui.logTags;

  script =
    name: file: fixed:
    pkgs.writeShellScriptBin name ''
      export PATH=${
        lib.makeBinPath [
          pkgs.coreutils
          pkgs.findutils
          pkgs.gnugrep
          pkgs.gzip
        ]
      }
      exec ${pkgs.runtimeShell} ${file} ${lib.escapeShellArgs fixed} "$@"
    '';
  trace = script "chasqui-trace" ./syslog-trace.sh [ cfg.collect.folder ];
  retention = script "chasqui-log-retention" ./syslog-retention.sh [
    cfg.collect.folder
    cfg.collect.retentionDays
  ];
in
{
  options.chasqui.syslog = {
    enable = mkOption {
      type = types.bool;
      default = known && chasquiLib.hostsWith site "log" != [ ];
      defaultText = lib.literalMD "whether the site has a host with the role `log`";
      description = "Whether logs go to the site's log hosts (S2).";
    };

    localName = mkOption {
      type = types.str;
      default = if host == null then config.networking.hostName else host;
      defaultText = lib.literalMD "the host's name";
      description = "The name that this host's messages have.";
    };

    servers = mkOption (
      {
        description = "Where messages are sent: to each of them.";
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption {
                type = types.strMatching "[A-Za-z0-9-]+";
                description = "The server's name, also that of the queue.";
              };
              certificateName = mkOption {
                type = types.str;
                description = "The name that its certificate must have.";
              };
              address = mkOption {
                type = types.str;
                description = "Its address.";
              };
            };
          }
        );
      }
      // derive "servers" [ ]
    );

    port = mkOption {
      type = types.port;
      default = chasquiLib.syslog.port;
      description = "The servers' port: syslog over TLS (RFC 5425).";
    };

    queueDisk = mkOption {
      type = types.strMatching "[0-9]+[kmg]";
      default = "1g";
      description = "How much may wait on disk for each server while it is away. What is more is dropped here, and still in the journal.";
    };

    collect = {
      enable = mkOption {
        type = types.bool;
        default = lib.elem "log" config.chasqui.roles;
        defaultText = lib.literalMD "whether the site file gives this host the role `log`";
        description = "Whether this host keeps the others' logs.";
      };
      folder = mkOption {
        type = types.str;
        default = "/var/log/hosts";
        description = "Where they are: `HOST/TAG/DAY.log`.";
      };
      group = mkOption {
        type = types.str;
        default = "systemd-journal";
        description = "The group that may read them. Default: the one that may read the journal, and in which administrators are.";
      };
      retentionDays = mkOption (
        {
          type = types.ints.positive;
          description = "How many days they are kept.";
        }
        // derive "retentionDays" 180
      );
      peers = mkOption (
        {
          type = types.listOf types.str;
          description = "The names of certificates that may send; `*` stands for a label.";
        }
        // derive "peers" [ ]
      );
      hosts = mkOption (
        {
          type = types.attrsOf types.str;
          description = "Hosts by their addresses: what a message claims about its origin is not believed.";
        }
        // derive "hosts" { }
      );
      sessions = mkOption {
        type = types.ints.positive;
        default = 2000;
        description = "How many hosts may be connected.";
      };
      hostsFile = mkOption {
        type = types.str;
        readOnly = true;
        default = "/etc/${hostsFile}";
        description = "Where the table of hosts is.";
      };
    };

    tls = tls.options;
    credentials = mkOption {
      type = types.str;
      readOnly = true;
      default = "/run/credentials/syslog.service";
      description = "Where systemd shows certificates and keys to rsyslog.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.servers != [ ] || collects;
        message = "chasqui.syslog.servers: there is nobody to send logs to; name servers, or give a host of the site file the role `log'.";
      }
      {
        assertion = !collects || cfg.collect.peers != [ ];
        message = "chasqui.syslog.collect.peers: nobody may send logs here; name the certificates that may, such as *.internal.example.";
      }
      {
        assertion = lib.hasPrefix "/" cfg.collect.folder && cfg.collect.folder != "/";
        message = "chasqui.syslog.collect.folder: `${cfg.collect.folder}' is no absolute path of a folder, and what is old in it is deleted.";
      }
      (tls.outsideStore "chasqui.syslog.tls" (lib.attrValues cfg.tls))
    ];

    services.rsyslogd = {
      enable = true;
      # Nothing but its spool and the logs is writable for it.
      extraParams = [ "-iNONE" ];
      defaultConfig = chasquiLib.syslog.text cfg;
    };

    systemd.services = lib.mkMerge [
      {
        syslog = {
          after = [ "network-online.target" ];
          wants = [ "network-online.target" ];
          # A volume for the logs may come after the network.
          unitConfig = lib.mkIf collects { RequiresMountsFor = [ cfg.collect.folder ]; };
          serviceConfig = {
            LoadCredential = tls.loadCredentials cfg.tls;
            Restart = "on-failure";
            RestartSec = "1s";
            ReadWritePaths = [ spool ] ++ lib.optional collects cfg.collect.folder;
            ProtectSystem = "strict";
            ProtectHome = true;
            PrivateTmp = true;
            PrivateDevices = true;
            ProtectClock = true;
            ProtectHostname = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            ProtectControlGroups = true;
            NoNewPrivileges = true;
            LockPersonality = true;
            RestrictNamespaces = true;
            RestrictRealtime = true;
            RestrictSUIDSGID = true;
            RestrictAddressFamilies = [
              "AF_UNIX"
              "AF_INET"
              "AF_INET6"
            ];
            SystemCallArchitectures = "native";
            SystemCallErrorNumber = "EPERM";
            SystemCallFilter = [
              "@system-service"
              "~@privileged"
              "@chown"
            ];
            # Files get the group of those who may read them.
            CapabilityBoundingSet = "CAP_CHOWN CAP_FOWNER";
          };
        };
      }
      (lib.mapAttrs' (
        tag: unit:
        lib.nameValuePair (lib.removeSuffix ".service" unit) {
          serviceConfig = {
            SyslogIdentifier = lib.mkDefault tag;
            # A busy hour must not cost the lines that trace a message.
            LogRateLimitIntervalSec = lib.mkDefault 0;
          };
        }
      ) tagged)
      (lib.mkIf collects {
        chasqui-log-retention = {
          description = "Pack logs of past days, delete those that are older than ${toString cfg.collect.retentionDays} days";
          startAt = "03:30";
          serviceConfig = {
            Type = "oneshot";
            ExecStart = lib.getExe retention;
            ProtectSystem = "strict";
            ReadWritePaths = [ cfg.collect.folder ];
            ProtectHome = true;
            PrivateTmp = true;
            PrivateNetwork = true;
            NoNewPrivileges = true;
          };
        };
      })
    ];

    systemd.tmpfiles.rules = [
      "d ${spool} 0700 root root -"
    ]
    ++ lib.optional collects "d ${cfg.collect.folder} 0750 root ${cfg.collect.group} -";

    environment.etc = lib.mkIf collects {
      ${hostsFile}.text = chasquiLib.syslog.hostsTable cfg.collect.hosts;
    };
    environment.systemPackages = lib.mkIf collects [ trace ];

    chasqui = {
      openings = lib.mkIf collects {
        syslog = {
          tcp = [ cfg.port ];
          from = [
            "kind:service"
            "kind:management"
          ];
        };
      };
      renewals.syslog = lib.attrValues cfg.tls;
      backupPaths = lib.mkIf collects { logs.path = cfg.collect.folder; };
    };
  };
}
