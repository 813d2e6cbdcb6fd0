# A controller of disk arrays (E12): RAID 6 groups by mdraid, striped (RAID 6+0), SSDs mirrored in front by LVM's cache, a logical volume for each
# LUN, and the kernel's iSCSI target, reached through encrypted meshes only (E19).
#
# Two controllers are cabled to the same drives (E17). Whose an array is stands on the drives themselves, so it outlives reboots of both:
#
#   chasqui-array create a1                 what would be made; with --yes it is made, with --force on drives that hold something
#   systemctl start chasqui-array-a1        on the owner: assembles it; chasqui-target-a1 then exports its LUNs
#   chasqui-array give a1                   on the owner, in peace (stop chasqui-array-a1 first): it is the other controller's then
#   systemctl start chasqui-array-takeover@a1
#                                           on the other one, after the owner died: refused while the owner answers at any address, and
#                                           until the operator says that it is fenced: touch /run/chasqui/fenced/OWNER
#
# Hosts find the LUNs again by themselves: the disks are the same ones at the other controller, and until then their writes wait.
#
# NixOS' services.target is not used: its configuration lies in the store, where the CHAP secrets must not be, and each restart of its unit
# first clears all targets, those of the hosts at work too.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.storageArray;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  hasRole = lib.elem "storage-array" config.chasqui.roles;
  inherit (chasquiLib) storage;

  derived =
    name:
    lib.mapAttrs (_: lib.mkDefault) (
      storage.arrayOf site name // { capacity = storage.capacity site name; }
    );
  arrayDrives = array: lib.concatMap (member: member.drives) array.groups ++ array.spares;
  cacheDrives = array: lib.optionals (array.cache != null) array.cache.drives;
  sum = lib.foldl' (a: b: a + b) 0;

  python = pkgs.python3.withPackages (packages: [ packages.rtslib-fb ]);
  program =
    name: file:
    pkgs.writeShellApplication {
      inherit name;
      runtimeInputs = [
        pkgs.iputils
        pkgs.lvm2
        pkgs.mdadm
        pkgs.thin-provisioning-tools
        pkgs.util-linux
        python
      ];
      text = ''exec python3 ${file} "$@" --host ${lib.escapeShellArg cfg.name}'';
    };
  arrayProgram = program "chasqui-array" ./storage/array.py;
  targetProgram = program "chasqui-target" ./storage/target.py;
  array = verb: name: "${arrayProgram}/bin/chasqui-array ${verb} ${name}";

  # They work on drives and on the kernel's tables, so much cannot be taken from them.
  hardening = {
    LockPersonality = true;
    NoNewPrivileges = true;
    PrivateTmp = true;
    ProtectHome = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    RestrictNamespaces = true;
    RestrictSUIDSGID = true;
    SystemCallArchitectures = "native";
  };

  files = name: a: {
    "chasqui/arrays/${name}.json".text = storage.description a;
    "chasqui/arrays/${name}.mdadm.conf".text = storage.mdadmConf a;
  };

  unitsOf = name: a: {
    "chasqui-array-${name}" = {
      description = "Disk array ${name}";
      wantedBy = [ "multi-user.target" ];
      # A new configuration is for the next start; LUNs in use stay as they are.
      restartIfChanged = false;
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # The other controller's array is left alone.
        ExecCondition = array "owns" name;
        ExecStart = array "start" name;
        ExecStop = array "stop" name;
        TimeoutStartSec = "5min";
      }
      // hardening;
    };
    "chasqui-target-${name}" = {
      description = "iSCSI targets of disk array ${name}";
      wantedBy = [ "chasqui-array-${name}.service" ];
      bindsTo = [ "chasqui-array-${name}.service" ];
      after = [
        "chasqui-array-${name}.service"
        "network-online.target"
        "sys-kernel-config.mount"
      ];
      wants = [ "network-online.target" ];
      requires = [ "sys-kernel-config.mount" ];
      # LUNs that were added are exported, the others go on.
      reloadIfChanged = true;
      restartTriggers = [ (storage.description a) ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${targetProgram}/bin/chasqui-target up ${name}";
        ExecReload = [
          (array "start" name)
          "${targetProgram}/bin/chasqui-target up ${name}"
        ];
        ExecStop = "${targetProgram}/bin/chasqui-target down ${name}";
        # The addresses may come after us, with the meshes.
        Restart = "on-failure";
        RestartSec = "5s";
      }
      // hardening;
      unitConfig.StartLimitIntervalSec = 0;
    };
    "chasqui-array-monitor-${name}" = {
      description = "Watch over disk array ${name}";
      wantedBy = [ "chasqui-array-${name}.service" ];
      bindsTo = [ "chasqui-array-${name}.service" ];
      after = [ "chasqui-array-${name}.service" ];
      serviceConfig = {
        # It also moves spares to the groups that need them.
        ExecStart =
          "${pkgs.mdadm}/bin/mdadm --monitor --syslog --delay=60 --config=/etc/chasqui/arrays/${name}.mdadm.conf "
          + lib.concatMapStringsSep " " (member: "/dev/md/${member.name}") (
            a.groups ++ lib.optional (a.cache != null) a.cache
          );
        Restart = "on-failure";
      }
      // hardening;
    };
    "chasqui-array-scrub-${name}" = {
      description = "Comparison of all data of disk array ${name} with its parity";
      after = [ "chasqui-array-${name}.service" ];
      startAt = cfg.scrub;
      serviceConfig = {
        Type = "oneshot";
        ExecCondition = array "owns" name;
        ExecStart = array "scrub" name;
      }
      // hardening;
    };
  };
in
{
  options.chasqui.storageArray = {
    enable = mkOption {
      type = types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `storage-array`";
      description = "Whether this host is a controller of disk arrays (E12).";
    };

    name = mkOption {
      type = types.str;
      default = if host != null then host else config.networking.hostName;
      defaultText = lib.literalMD "the host's name in the site file";
      description = "This controller's name, as it stands on the drives of the arrays that are its own.";
    };

    arrays = mkOption {
      type = types.attrsOf (types.submodule (import ./storage/array-options.nix { inherit lib; }));
      default = { };
      description = "The arrays that this host runs, or may take over: those of the site file whose `controllers` name it, each value of which may be set anew.";
    };

    scrub = mkOption {
      type = types.str;
      default = "Sat 22:00";
      description = "When all data is compared with its parity (systemd calendar). By default in the night to Sunday, once a week.";
    };

    metricsFolder = mkOption {
      type = types.str;
      default = "/var/lib/chasqui-metrics";
      description = "Where the state of the arrays is written for the node exporter's textfile collector.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.concatLists (
      lib.mapAttrsToList (
        name: a:
        let
          path = "chasqui.storageArray.arrays.${name}";
          drives = arrayDrives a ++ cacheDrives a;
        in
        [
          {
            assertion = lib.elem cfg.name a.controllers;
            message = "${path}.controllers: this host, ${cfg.name}, is not among them; add it, or take the array from this host.";
          }
          {
            assertion = a.groups != [ ] && lib.all (group: lib.length group.drives >= 4) a.groups;
            message = "${path}.groups: RAID 6 needs at least four drives a group; raise arrays.${name}.group_size in the site file.";
          }
          {
            assertion = lib.length (lib.unique drives) == lib.length drives;
            message = "${path}: a drive is named twice; put {} where its number goes into arrays.${name}.drives and arrays.${name}.cache.drives.";
          }
          {
            assertion = a.cache == null || lib.length a.cache.drives / 2 * 2 == lib.length a.cache.drives;
            message = "${path}.cache.drives: SSDs are mirrored in pairs, since a lost write-back cache loses mail; make arrays.${name}.cache.count even.";
          }
          {
            assertion = a.capacity == null || sum (map (lun: lun.size) a.luns) <= a.capacity / 1000 * 999;
            message = "${path}.luns: they need ${
              toString (sum (map (lun: lun.size) a.luns))
            } octets, the array has ${toString a.capacity}; make luns.*.size smaller or add a group.";
          }
          {
            assertion = a.luns == [ ] || (a.portals.${cfg.name} or [ ]) != [ ];
            message = "${path}.portals.${cfg.name}: there is no address in an encrypted storage network, so LUNs could only be reached in clear (E19); give the host an interface in a network of kind `storage' that runs `over' another.";
          }
          {
            assertion = lib.all (lun: chasquiLib.notInStore lun.secret) a.luns;
            message = "${path}.luns.*.secret: a path lies in the Nix store, where every user can read it; name a file that is brought to the host by other means (secrets.chap).";
          }
        ]
      ) cfg.arrays
    );

    chasqui.storageArray.arrays = lib.mkIf hasRole (
      lib.genAttrs (chasquiLib.arraysOf site host) derived
    );

    boot.swraid = {
      enable = true;
      # udev must not assemble anything by itself.
      mdadmConf = ''
        AUTO -all
        PROGRAM ${pkgs.coreutils}/bin/true
      '';
    };
    # Each array has a watcher of its own, as long as it is here.
    systemd.services = lib.mkMerge (
      lib.mapAttrsToList unitsOf cfg.arrays
      ++ [
        {
          mdmonitor.enable = false;

          "chasqui-array-takeover@" = {
            description = "Take disk array %i over from a controller that died";
            serviceConfig = {
              Type = "oneshot";
              ExecStart = [
                "${arrayProgram}/bin/chasqui-array takeover %i"
                "${pkgs.systemd}/bin/systemctl start --no-block chasqui-array-%i.service"
              ];
            }
            // hardening;
          };

          chasqui-array-metrics = {
            description = "State of the disk arrays for monitoring";
            startAt = "*:0/1";
            serviceConfig = {
              Type = "oneshot";
              Nice = 10;
            }
            // hardening;
            script = ''
              mkdir -p ${cfg.metricsFolder}
              new=$(mktemp ${cfg.metricsFolder}/.arrays.XXXXXX)
              chmod 644 "$new"
            ''
            + lib.concatMapStrings (name: "${array "metrics" name} >> \"$new\"\n") (lib.attrNames cfg.arrays)
            + "mv \"$new\" ${cfg.metricsFolder}/arrays.prom\n";
          };
        }
      ]
    );

    boot.kernelModules = [
      "configfs"
      "dm-cache-smq"
      "iscsi_target_mod"
      "target_core_iblock"
    ];
    # Programs that check a cache before it is used.
    services.lvm.boot.thin.enable = true;
    # What the hosts keep on their LUNs is theirs: LVM here looks at the arrays only.
    environment.etc = lib.mkMerge (
      lib.mapAttrsToList files cfg.arrays
      ++ [
        {
          "lvm/lvm.conf".text = lib.mkAfter ''
            devices {
              ${storage.lvmFilter [ "/dev/md/.*" ]}
            }
          '';
        }
      ]
    );
    environment.systemPackages = [
      arrayProgram
      targetProgram
    ];

    # Drives sort their queue; for SSDs sorting only costs time.
    services.udev.extraRules = ''
      ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="sd[a-z]*", ATTR{queue/rotational}=="1", ATTR{queue/scheduler}="mq-deadline"
      ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="sd[a-z]*", ATTR{queue/rotational}=="0", ATTR{queue/scheduler}="none"
    '';

    services.smartd = {
      enable = true;
      autodetect = false;
      # Short tests every night, long ones on the first of the month.
      devices = map (device: { inherit device; }) (
        lib.concatMap (a: arrayDrives a ++ cacheDrives a) (lib.attrValues cfg.arrays)
      );
      # A drive that is gone must not keep smartd from starting, which is to tell of it.
      defaults.monitored = "-a -d removable -s (S/../.././01|L/../01/./03)";
      notifications.wall.enable = false;
    };

    chasqui.openings.iscsi = {
      tcp = [ 3260 ];
      from = if site == null then [ ] else map (network: "network:${network}") (storage.sanNetworks site);
    };
    chasqui.logTags.storage-array = "chasqui-array-*.service";
  };
}
