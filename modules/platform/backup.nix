# Backups with history (E16). A backup host fetches, by rdiff-backup over ssh, what each of its hosts declares (`chasqui.backupPaths`): mail,
# dumps of the directory, of LDAP and of the database, keys, logs. It keeps the newest state as plain files and the way back to older ones.
#
# The hosts let its key start one program only, which reads what is declared and nothing else, so a stolen backup host changes no mail. Each
# host is fetched by a backup host whose disks are on another array than its own (modules/lib/backup.nix).
#
#   chasqui-backup list storage1
#   chasqui-backup restore storage1 /var/lib/chasqui/mail/3f/a0/ana@ejemplo.test /var/backup/ana --at 3D
#
# Once a week a drill restores a mailbox that chance chooses, compares it with its hashes and with the host, and tells monitoring.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.backup;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  hasRole = lib.elem "backup" config.chasqui.roles;
  inherit (chasquiLib) backup;

  program =
    name: file: more:
    pkgs.writeShellApplication {
      inherit name;
      runtimeInputs = [
        pkgs.python3
        pkgs.rdiff-backup
      ]
      ++ more;
      text = ''exec python3 ${file} "$@"'';
    };
  keeper = program "chasqui-backup" ./backup/backup.py [ pkgs.openssh ];
  server = program "chasqui-backup-serve" ./backup/serve.py [ ];

  # It gives restored files their owners, and reaches what is root's only.
  hardening = {
    CapabilityBoundingSet = [
      "CAP_CHOWN"
      "CAP_DAC_OVERRIDE"
      "CAP_DAC_READ_SEARCH"
      "CAP_FOWNER"
      "CAP_FSETID"
    ];
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    NoNewPrivileges = true;
    PrivateDevices = true;
    PrivateTmp = true;
    ProtectControlGroups = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectSystem = "strict";
    ReadWritePaths = [
      cfg.folder
      "-${cfg.metricsFolder}"
    ];
    RestrictAddressFamilies = [
      "AF_INET"
      "AF_INET6"
      "AF_UNIX"
    ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    SystemCallArchitectures = "native";
    UMask = "0077";
  };
  service = description: command: {
    inherit description;
    after = [ "network-online.target" ];
    wants = [ "network-online.target" ];
    unitConfig.RequiresMountsFor = [ cfg.folder ];
    serviceConfig = {
      Type = "oneshot";
      ExecStart = "${keeper}/bin/chasqui-backup ${command}";
      ExecStopPost = "+${pkgs.writeShellScript "chasqui-backup-metrics" ''
        new=${cfg.metricsFolder}/.backup.$$
        ${keeper}/bin/chasqui-backup metrics > "$new" && chmod 644 "$new" && mv "$new" ${cfg.metricsFolder}/backup.prom
      ''}";
      LoadCredential = "key:${cfg.key}";
      # Users come first.
      Nice = 10;
      IOSchedulingClass = "idle";
    }
    // hardening;
  };
in
{
  options.chasqui.backup = {
    enable = mkOption {
      type = types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `backup`";
      description = "Whether this host keeps the backups of others (E16).";
    };

    hosts = mkOption {
      default = if hasRole then backup.clientsOf site host else { };
      defaultText = lib.literalMD "the hosts of the site whose data is on other arrays than this host's backups";
      description = "The hosts that are backed up here.";
      type = types.attrsOf (
        types.submodule {
          options.address = mkOption {
            type = types.str;
            description = "Where their sshd listens.";
          };
        }
      );
    };

    folder = mkOption {
      type = types.str;
      default = if hasRole then site.backup.folder else "/var/backup";
      defaultText = lib.literalMD "`backup.folder` of the site file";
      description = "Where the backups are kept.";
    };

    retention = mkOption {
      type = types.ints.positive;
      default = if hasRole then chasquiLib.seconds site.backup.retention else 7776000;
      defaultText = lib.literalMD "`backup.retention` of the site file";
      description = "Seconds that older states are kept.";
    };

    at = mkOption {
      type = types.str;
      default = if hasRole then site.backup.at else "02:00";
      defaultText = lib.literalMD "`backup.at` of the site file";
      description = "When backups start (systemd calendar), each within the hour that follows.";
    };

    drill = mkOption {
      type = types.str;
      default = if hasRole then site.backup.drill else "Sun 05:00";
      defaultText = lib.literalMD "`backup.drill` of the site file";
      description = "When a restore is practised (systemd calendar).";
    };

    key = mkOption {
      type = types.str;
      default =
        if hasRole then chasquiLib.secret site host "backup" else "/etc/chasqui/secrets/backup.key";
      defaultText = lib.literalMD "`secrets.backup` of the site file";
      description = "Path of the OpenSSH private key with which this host fetches, outside the Nix store.";
    };

    metricsFolder = mkOption {
      type = types.str;
      default = "/var/lib/chasqui-metrics";
      description = "Where the state of the backups is written for the node exporter's textfile collector.";
    };

    authorizedKeys = mkOption {
      type = types.listOf types.str;
      default = if known && backup.backupHostOf site host != null then site.backup.keys else [ ];
      defaultText = lib.literalMD "`backup.keys` of the site file";
      description = "OpenSSH public keys that may fetch what this host declares to be backed up. None: nobody fetches anything.";
    };

    fetchedFrom = mkOption {
      type = types.listOf types.str;
      default = if known then backup.fetchedFrom site host else [ ];
      defaultText = lib.literalMD "the addresses of this host's backup host";
      description = "Addresses that those keys are taken from. None: from anywhere.";
    };
  };

  config = lib.mkMerge [
    (lib.mkIf (cfg.authorizedKeys != [ ]) {
      environment.etc."chasqui/backup-paths.json".text = backup.json (
        lib.mapAttrsToList (name: entry: {
          inherit name;
          inherit (entry) before path;
        }) config.chasqui.backupPaths
      );
      users.users.root.openssh.authorizedKeys.keys = map (
        key:
        backup.authorizedKey {
          inherit key;
          command = "${server}/bin/chasqui-backup-serve";
          from = cfg.fetchedFrom;
        }
      ) cfg.authorizedKeys;

      assertions = [
        {
          assertion = lib.all (
            key: lib.length (lib.splitString "\n" key) == 1 && lib.hasPrefix "ssh-" key
          ) cfg.authorizedKeys;
          message = "chasqui.backup.authorizedKeys: a key is not a line that begins with its kind, such as `ssh-ed25519 AAAA…'; mend backup.keys in the site file.";
        }
        {
          assertion = lib.all (name: builtins.match "[A-Za-z0-9_-]+" name != null) (
            lib.attrNames config.chasqui.backupPaths
          );
          message = "chasqui.backupPaths: a name becomes a folder of the backup host, so only letters, digits, - and _ may be in it.";
        }
      ];
    })

    (lib.mkIf cfg.enable {
      assertions = [
        {
          assertion = chasquiLib.notInStore cfg.key;
          message = "chasqui.backup.key: the path lies in the Nix store, where every user can read it; name a file that is brought to the host by other means (secrets.backup).";
        }
      ];

      environment.etc."chasqui/backup.json".text = backup.json {
        inherit (cfg)
          folder
          hosts
          key
          retention
          ;
      };
      environment.systemPackages = [ keeper ];

      systemd.services = {
        "chasqui-backup@" = service "Backup of %i" "fetch %i";
        chasqui-backup-drill = service "Practice of a restore" "drill" // {
          startAt = cfg.drill;
        };
      };
      # One timer a host, so that one that fails is seen and started again by itself.
      systemd.timers = lib.mapAttrs' (name: _: {
        name = "chasqui-backup@${name}";
        value = {
          description = "Backup of ${name}";
          wantedBy = [ "timers.target" ];
          timerConfig = {
            OnCalendar = cfg.at;
            Persistent = true;
            RandomizedDelaySec = "1h";
            FixedRandomDelay = true;
          };
        };
      }) cfg.hosts;

      chasqui.logTags.backup = "chasqui-backup@*.service";
    })
  ];
}
