# A Xen guest (E10): paravirtual drivers, the console that `xl console` shows, the disk that its host made, and GRUB's menu for the
# host's GRUB for PVH, which starts the kernel. Nothing of a machine: no firmware, no boot sector, no clock.
{
  config,
  lib,
  ...
}:
let
  cfg = config.chasqui.xenGuest;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
in
{
  options.chasqui.xenGuest = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = config.chasqui.roles != [ ] && site.hosts.${host}.guest;
      defaultText = lib.literalMD "whether the site file says that this host is a guest";
      description = "Whether this host is a Xen guest (E10).";
    };

    rootLabel = lib.mkOption {
      type = lib.types.strMatching "[A-Za-z0-9._-]{1,16}";
      default = "root";
      description = "The label of its root file system, as `chasqui-guest-create` gives it.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(config.chasqui.xenHost.enable or false);
        message = "chasqui.xenGuest.enable: a guest cannot be a Xen host; take the role `xen-host' from hosts.${toString host}, or make it the machine's own system.";
      }
    ];

    boot.initrd.availableKernelModules = [
      "xen-blkfront"
      "xen-netfront"
    ];
    boot.initrd.kernelModules = [ "xen-blkfront" ];
    boot.kernelParams = [ "console=hvc0" ];
    # Only the menu: there is no disk with a boot sector.
    boot.loader.grub = {
      enable = true;
      device = "nodev";
    };

    fileSystems."/" = {
      device = "/dev/disk/by-label/${cfg.rootLabel}";
      fsType = "ext4";
      autoResize = true;
      options = [ "noatime" ];
    };

    # What the guest frees is free for others.
    services.fstrim.enable = true;
    # There is neither firmware nor microcode to bring, nor a drive to ask for its health.
    hardware.enableRedistributableFirmware = false;
    services.smartd.enable = false;
    # Reads of a virtual disk are sorted by the host.
    services.udev.extraRules = ''
      ACTION=="add|change", SUBSYSTEM=="block", KERNEL=="xvd[a-z]", ATTR{queue/scheduler}="none"
    '';
  };
}
