# A Xen host (E10): its guests are declared, one unit each, `xen-guest-NAME.service`, with its disk in the volume group `guests`.
#
# Guests are PVH and start by GRUB for PVH, a program of the host's store that reads the guest's own /boot/grub/grub.cfg. So a guest is
# rebuilt, rolled back and rebooted into another kernel without its host knowing, and the host never parses a guest's file system, as pygrub
# would do as root.
#
# A new guest: `chasqui-guest-create NAME SYSTEM` makes its volume and installs a built NixOS system into it. `nixos-rebuild` of the host
# never stops a guest; a changed size is for the guest's next start: `systemctl restart xen-guest-NAME`.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.xenHost;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  hasRole = lib.elem "xen-host" config.chasqui.roles;
  machine = if hasRole then site.machines.${site.hosts.${host}.machine} else null;
  inherit (chasquiLib) xen;

  guests = lib.attrValues cfg.guests;
  sum = lib.foldl' (a: b: a + b) 0;
  memory = sum (map (guest: guest.memory) guests);
  cores = sum (map (guest: guest.cores) guests);
  names = lib.concatStringsSep ", " (lib.attrNames cfg.guests);
  # The LUN that the guests' disks are on, where there is one.
  volume = if hasRole then site.hosts.${host}.volumes.${cfg.volumeGroup} or null else null;
  room =
    if volume == null || volume.lun == null then
      null
    else
      chasquiLib.bytes site.luns.${volume.lun}.size;
  disks = sum (map (guest: guest.disk) guests);

  # udev would look into guests' disks and offer what it finds by label, `nixos' and `boot' among them if a guest says so. After LVM's rules, which
  # make the volumes' names, and before those that look inside.
  blind = pkgs.writeTextDir "lib/udev/rules.d/12-chasqui-guests.rules" ''
    SUBSYSTEM=="block", ENV{DM_VG_NAME}=="${cfg.volumeGroup}", ENV{DM_UDEV_DISABLE_DISK_RULES_FLAG}="1"
  '';
  volumeOf = name: "/dev/${cfg.volumeGroup}/${name}";
  configuration =
    name: guest:
    xen.text {
      comments = [
        "Guest ${name}${
          lib.optionalString (guest.roles != [ ]) " (${lib.concatStringsSep ", " guest.roles})"
        }, from the site file; a change there changes this file."
      ]
      ++ map (
        interface: "Its ${interface.name} is in the network ${interface.network}: ${interface.mac}"
      ) guest.interfaces;
      settings =
        xen.settingsOf {
          inherit guest name;
          inherit (cfg) kernel;
          inherit (guest) uuid;
          volume = volumeOf name;
        }
        // guest.settings;
    };

  create = pkgs.writeShellApplication {
    name = "chasqui-guest-create";
    runtimeInputs = [
      pkgs.e2fsprogs
      pkgs.lvm2
      pkgs.nixos-install-tools
      pkgs.util-linux
    ];
    text = ''
      # Makes the volume of a guest and installs a NixOS system into it: chasqui-guest-create NAME SYSTEM
      declare -A octets=(${
        lib.concatStringsSep " " (
          lib.mapAttrsToList (name: guest: "[${name}]=${toString guest.disk}") cfg.guests
        )
      })
      name=''${1:?the name of a guest} system=''${2:?the path of a built system}
      size=''${octets[$name]:?"$name is no guest of this machine"}
      if lvs "${cfg.volumeGroup}/$name" > /dev/null 2>&1; then
        echo "$name has a volume already; to begin anew: lvremove ${cfg.volumeGroup}/$name" >&2
        exit 1
      fi
      lvcreate --yes --wipesignatures y --name "$name" --extents $(((size + 4194303) / 4194304)) "${cfg.volumeGroup}"
      mkfs.ext4 -q -L root "/dev/${cfg.volumeGroup}/$name"
      root=$(mktemp -d)
      trap 'umount "$root" && rmdir "$root"' EXIT
      mount "/dev/${cfg.volumeGroup}/$name" "$root"
      nixos-install --root "$root" --system "$system" --no-root-passwd --no-channel-copy
      echo "$name is installed; put its secrets below $root/etc/chasqui, then leave this shell: systemctl start xen-guest-$name"
      (cd "$root" && bash)
    '';
  };

  unit = name: _: {
    name = "xen-guest-${name}";
    value = {
      description = "Xen guest ${name}";
      wantedBy = [ "multi-user.target" ];
      after = [
        "chasqui-volume-${cfg.volumeGroup}.service"
        "systemd-networkd.service"
        "xen-init-dom0.service"
        "xenconsoled.service"
      ];
      requires = [ "xen-init-dom0.service" ];
      wants = [ "xenconsoled.service" ];
      # Its scripts, which put a guest's interfaces on the bridges.
      path = [ config.virtualisation.xen.package ];
      # A guest that was never installed is not started.
      unitConfig.ConditionPathExists = volumeOf name;
      restartIfChanged = false;
      stopIfChanged = false;
      serviceConfig = {
        # In the foreground xl watches the guest and starts it again as its configuration says.
        ExecStart = "${config.virtualisation.xen.package}/bin/xl create -F /etc/xen/guests/${name}.cfg";
        ExecStop = "${config.virtualisation.xen.package}/bin/xl shutdown -w ${name}";
        # What did not go by itself in time.
        ExecStopPost = "-${config.virtualisation.xen.package}/bin/xl destroy ${name}";
        TimeoutStopSec = "3min";
        Restart = "on-failure";
        RestartSec = "10s";
      };
    };
  };
in
{
  options.chasqui.xenHost = {
    enable = mkOption {
      type = types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `xen-host`";
      description = "Whether this host runs Xen guests (E10).";
    };

    memory = mkOption {
      type = types.ints.positive;
      default = if hasRole then xen.ownMemory site host else 4096;
      defaultText = lib.literalMD "what the guests leave, at most 4096";
      description = "MiB of the host's own system.";
    };

    cores = mkOption {
      type = types.ints.positive;
      default = 2;
      description = "Virtual cores of the host's own system, which passes the guests' packets and blocks on.";
    };

    machineCores = mkOption {
      type = types.nullOr types.ints.positive;
      default = if hasRole then machine.cores else null;
      defaultText = lib.literalMD "`machines.MACHINE.cores` of the site file";
      description = "Cores of the machine. Null: not known, and not compared with what the guests have.";
    };

    machineMemory = mkOption {
      type = types.nullOr types.ints.positive;
      default = if hasRole then xen.mebibytes machine.memory else null;
      defaultText = lib.literalMD "`machines.MACHINE.memory` of the site file";
      description = "MiB of memory of the machine. Null: not known, and not compared with what the guests have.";
    };

    volumeGroup = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      default = "guests";
      description = "The volume group of the guests' disks.";
    };

    kernel = mkOption {
      type = types.str;
      default = "${pkgs.grub2_pvhgrub_image}/lib/grub-xen_pvh/grub-i386-xen_pvh.bin";
      defaultText = lib.literalExpression ''"''${pkgs.grub2_pvhgrub_image}/lib/grub-xen_pvh/grub-i386-xen_pvh.bin"'';
      description = "What is started in a guest: GRUB, which starts the guest's own kernel.";
    };

    guests = mkOption {
      default = { };
      description = "The guests, by name: those of this machine in the site file, each value of which may be set anew.";
      type = types.attrsOf (types.submodule (import ./xen/guest-options.nix { inherit lib site xen; }));
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.memory >= 1024;
        message = "chasqui.xenHost.memory: the host's own system needs 1024 MiB, it has ${toString cfg.memory}; set more.";
      }
      {
        assertion = cfg.machineMemory == null || memory + cfg.memory <= cfg.machineMemory;
        message = "chasqui.xenHost.guests.*.memory: the guests (${names}) have ${toString memory} MiB and the host itself ${toString cfg.memory}, the machine has ${toString cfg.machineMemory}; give them less, or move a guest to another machine.";
      }
      {
        assertion = cfg.machineCores == null || cores <= cfg.machineCores;
        message = "chasqui.xenHost.guests.*.cores: the guests (${names}) have ${toString cores} cores, the machine has ${toString cfg.machineCores}; give them fewer, or move a guest to another machine.";
      }
      {
        assertion = !hasRole || guests == [ ] || volume != null;
        message = "chasqui.xenHost.volumeGroup: the host has no volume `${cfg.volumeGroup}' for its guests' disks; add hosts.${toString host}.volumes.${cfg.volumeGroup} with a LUN or a local device.";
      }
      {
        assertion = room == null || disks <= room / 1000 * 999;
        message = "chasqui.xenHost.guests.*.disk: the guests (${names}) need ${toString disks} octets, the volume group `${cfg.volumeGroup}' has ${toString room}; raise luns.*.size or give them less.";
      }
    ]
    ++ lib.mapAttrsToList (name: guest: {
      assertion = lib.all (interface: lib.stringLength interface.bridge <= 15) guest.interfaces;
      message = "chasqui.xenHost.guests.${name}.interfaces: the name of a bridge has more than 15 characters, which the kernel refuses; shorten it.";
    }) cfg.guests
    ++ map (found: {
      assertion = !site.redundant;
      message = found.text;
    }) (lib.optionals hasRole (xen.together site site.hosts.${host}.machine));

    chasqui.xenHost.guests = lib.mkIf hasRole (
      lib.mapAttrs (_: lib.mapAttrs (_: lib.mkDefault)) (xen.guestsOf site host)
    );

    virtualisation.xen = {
      enable = true;
      package = lib.mkDefault pkgs.xen;
      dom0Resources = {
        inherit (cfg) memory;
        maxVCPUs = cfg.cores;
      };
      boot.params = [
        # After a crash of the hypervisor the guests must come back without anybody's help.
        "reboot=acpi"
        "console=com1,vga"
        "com1=115200,8n1"
      ];
    };
    boot.initrd.systemd.enable = true;
    # Its scripts would stop, save and restore our guests in their own order.
    systemd.services = lib.mapAttrs' unit cfg.guests // {
      xendomains.enable = false;
    };

    services.udev.packages = [ blind ];
    boot.initrd.services.udev.packages = [ blind ];

    environment.etc = lib.mapAttrs' (name: guest: {
      name = "xen/guests/${name}.cfg";
      value.text = configuration name guest;
    }) cfg.guests;
    environment.systemPackages = [ create ];

    # Packets between guests are the guests' own business, not the host's filter's.
    boot.kernel.sysctl = {
      "net.bridge.bridge-nf-call-ip6tables" = 0;
      "net.bridge.bridge-nf-call-iptables" = 0;
    };

    chasqui.logTags.xen = "xen-guest-*.service";
  };
}
