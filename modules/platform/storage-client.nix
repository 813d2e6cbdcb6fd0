# Volumes of a host (E12): logical volumes on LUNs, reached over both storage networks, or on local block devices.
#
# The order at start: network and meshes, log-in at whichever controllers answer, multipath, LVM, mount, then what needs the mount. A LUN's
# disk is called /dev/mapper/lun-NAME, whichever controller exports it. When the other controller takes an array over, the timer logs in
# there, the paths join the same disk, and writes that waited go on.
#
# NixOS' services.multipath is not used: its aliases can only be numbers, and it starts multipathd in the initial ramdisk, which no
# volume of ours needs.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.storageClient;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  inherit (chasquiLib) storage;

  volumes = lib.attrValues cfg.volumes;
  luns = map (volume: volume.lun) (lib.filter (volume: volume.lun != null) volumes);
  mounted = lib.filterAttrs (_: volume: volume.mount != null) cfg.volumes;
  deviceOf =
    volume: if volume.lun != null then "/dev/mapper/lun-${volume.lun.name}" else toString volume.device;
  given = value: if value then 1 else 0;

  program =
    name: file:
    pkgs.writeShellApplication {
      inherit name;
      runtimeInputs = [
        config.services.openiscsi.package
        pkgs.btrfs-progs
        pkgs.e2fsprogs
        pkgs.lvm2
        pkgs.python3
        pkgs.util-linux
      ];
      text = ''exec python3 ${file} "$@"'';
    };
  login = program "chasqui-iscsi-login" ./storage/login.py;
  volume = program "chasqui-volume" ./storage/volume.py;

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

  lunOptions.options = {
    name = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      description = "The LUN's name.";
    };
    wwid = mkOption {
      type = types.strMatching "3[0-9a-f]{32}";
      description = "The disk's identifier, by which multipath knows its paths.";
    };
    target = mkOption {
      type = types.strMatching "iqn\\.[0-9]{4}-[01][0-9]\\.[a-z0-9.-]+:[a-z0-9.-]+";
      description = "The iSCSI name of its target.";
    };
    portals = mkOption {
      type = types.listOf types.str;
      description = "The addresses at which it may be found, of both controllers in both storage networks.";
    };
    secret = mkOption {
      type = types.str;
      description = "Path of its CHAP secrets, the same file as on the controllers, outside the Nix store and readable by root only.";
    };
  };
in
{
  options.chasqui.storageClient = {
    enable = mkOption {
      type = types.bool;
      default = known && site.hosts.${host}.volumes != { };
      defaultText = lib.literalMD "whether the site file gives this host volumes";
      description = "Whether this host has volumes on LUNs or on local devices (E12).";
    };

    initiator = mkOption {
      type = types.nullOr (types.strMatching "iqn\\.[0-9]{4}-[01][0-9]\\.[a-z0-9.-]+:[a-z0-9.-]+");
      default = if known then storage.initiator site host else null;
      defaultText = lib.literalMD "from the site's internal domain and the host's name";
      description = "The host's iSCSI name, by which controllers know it.";
    };

    volumes = mkOption {
      default = { };
      description = "The volumes, each a volume group of its name: those of the site file, each value of which may be set anew.";
      type = types.attrsOf (
        types.submodule {
          options = {
            lun = mkOption {
              type = types.nullOr (types.submodule lunOptions);
              default = null;
              description = "The LUN that it lies on.";
            };
            device = mkOption {
              type = types.nullOr types.str;
              default = null;
              example = "/dev/disk/by-id/nvme-eui.0025385b71b0c3a1";
              description = "The local block device that it lies on.";
            };
            mount = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "Where its file system is mounted. Null: a volume group without one, such as the guests' disks.";
            };
            filesystem = mkOption {
              type = types.enum [
                "btrfs"
                "ext4"
              ];
              default = "ext4";
              description = "The file system that is made on first use.";
            };
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.concatLists (
      lib.mapAttrsToList (
        name: volume:
        let
          path = "chasqui.storageClient.volumes.${name}";
        in
        [
          {
            assertion = given (volume.lun != null) + given (volume.device != null) == 1;
            message = "${path}: a volume lies either on a LUN or on a local device; set one of `lun' and `device' of hosts.${toString host}.volumes.${name} in the site file.";
          }
          {
            assertion = volume.lun == null || volume.lun.portals != [ ];
            message = "${path}.lun.portals: no controller of the LUN has an address in an encrypted storage network (E19); give the controllers interfaces in a network of kind `storage' that runs `over' another.";
          }
          {
            assertion = volume.lun == null || site == null || storage.portalsOf site host != [ ];
            message = "${path}.lun: this host has no address in an encrypted storage network (E19); give hosts.${toString host} an interface in a network of kind `storage' that runs `over' another.";
          }
          {
            assertion = volume.lun == null || chasquiLib.notInStore volume.lun.secret;
            message = "${path}.lun.secret: the path lies in the Nix store, where every user can read it; name a file that is brought to the host by other means (secrets.chap).";
          }
          {
            assertion = volume.lun == null || cfg.initiator != null;
            message = "chasqui.storageClient.initiator: a host with LUNs needs an iSCSI name; set it.";
          }
        ]
      ) cfg.volumes
    );

    chasqui.storageClient.volumes = lib.mkIf known (
      lib.mapAttrs (_: lib.mapAttrs (_: lib.mkDefault)) (storage.volumesOf site host)
    );

    services.openiscsi = lib.mkIf (luns != [ ]) {
      enable = true;
      name = toString cfg.initiator;
    };

    environment.etc = {
      "chasqui/volumes.json".text = storage.volumesDescription (
        lib.mapAttrsToList (
          name: volume:
          volume
          // {
            inherit name;
            device = deviceOf volume;
          }
        ) cfg.volumes
      );
      # Neither single paths of a LUN nor what guests keep on their disks.
      "lvm/lvm.conf".text = lib.mkAfter ''
        devices {
          ${storage.lvmFilter (map deviceOf volumes)}
        }
      '';
    }
    // lib.optionalAttrs (luns != [ ]) { "multipath.conf".text = storage.multipathConf luns; };

    systemd.packages = lib.mkIf (luns != [ ]) [ pkgs.multipath-tools ];
    boot.kernelModules = lib.mkIf (luns != [ ]) [
      "dm-multipath"
      "dm-service-time"
    ];
    environment.systemPackages = [
      volume
    ]
    ++ lib.optionals (luns != [ ]) [
      login
      pkgs.multipath-tools
    ];

    fileSystems = lib.mapAttrs' (name: volume: {
      name = volume.mount;
      value = {
        device = "/dev/${name}/${name}";
        fsType = volume.filesystem;
        options = [
          # Reading mail writes nothing.
          "noatime"
          # Without the volume the host still starts, so that somebody can log in and mend it; what needs it does not.
          "nofail"
          "x-systemd.requires=chasqui-volume-${name}.service"
          "x-systemd.after=chasqui-volume-${name}.service"
        ]
        ++ lib.optional (volume.lun != null) "_netdev"
        ++ lib.optional (volume.filesystem == "btrfs") "compress=zstd:1"
        ++ lib.optional (volume.filesystem == "ext4") "errors=remount-ro";
      };
    }) mounted;

    systemd.services = lib.mkMerge (
      [
        (lib.mkIf (luns != [ ]) {
          multipathd.wantedBy = [ "multi-user.target" ];

          chasqui-iscsi-login = {
            description = "Log-in to the LUNs of this host";
            wantedBy = [ "remote-fs-pre.target" ];
            before = [ "remote-fs-pre.target" ];
            after = [
              "iscsid.service"
              "multipathd.service"
              "network-online.target"
            ];
            wants = [ "network-online.target" ];
            requires = [ "iscsid.service" ];
            # At shutdown the file systems go first.
            restartIfChanged = false;
            serviceConfig = {
              Type = "oneshot";
              # The meshes may need a while.
              ExecStart = "${login}/bin/chasqui-iscsi-login --patience 90";
              TimeoutStartSec = "3min";
            }
            // hardening;
          };
        })
      ]
      ++ lib.mapAttrsToList (name: one: {
        "chasqui-volume-${name}" = {
          description = "Volume ${name}";
          wantedBy = [ "multi-user.target" ];
          after = lib.optionals (one.lun != null) [
            "chasqui-iscsi-login.service"
            "multipathd.service"
          ];
          wants = lib.optionals (one.lun != null) [ "chasqui-iscsi-login.service" ];
          restartIfChanged = false;
          unitConfig.StartLimitIntervalSec = 0;
          serviceConfig = {
            Type = "oneshot";
            RemainAfterExit = true;
            ExecStart = "${volume}/bin/chasqui-volume ${name}";
            # What gave up waiting for the volume at start is started now.
            ExecStartPost = "${pkgs.systemd}/bin/systemctl start --no-block default.target";
            TimeoutStartSec = "5min";
            # An array may come hours after its hosts.
            Restart = "on-failure";
            RestartSec = "15s";
          }
          // hardening;
        };
      }) cfg.volumes
    );

    systemd.timers.chasqui-iscsi-login = lib.mkIf (luns != [ ]) {
      description = "Log-in to controllers that did not answer before";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "2min";
        OnUnitInactiveSec = "15s";
        AccuracySec = "1s";
      };
    };

    chasqui.logTags.storage-client = "chasqui-volume-*.service";
  };
}
