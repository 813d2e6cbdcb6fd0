# What every host of a site has: its name, its system disk, administrators who come in by key, and the right time.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ] || (site != null && host != null && site.hosts ? ${host});
  guest = site.hosts.${host}.guest;
  # Administrators come over the management networks, meshes included; a host without one is administered from anywhere.
  management = lib.concatMap (chasquiLib.addressesOn site host) (
    chasquiLib.networksOfKind site "management"
  );
  withKeys = lib.filterAttrs (_: person: person.ssh_keys != [ ]) site.administrators;
in
{
  config = lib.mkIf known {
    networking.hostName = lib.mkDefault host;
    networking.domain = lib.mkDefault site.internal_domain;
    # chasqui.firewall writes the rules.
    networking.firewall.enable = lib.mkDefault false;

    # As in the NixOS manual's installation: the file system labelled `nixos`, the EFI partition labelled `boot`. A guest's disks are
    # the business of its machine.
    fileSystems = lib.mkIf (!guest) {
      "/" = lib.mkDefault {
        device = "/dev/disk/by-label/nixos";
        fsType = "ext4";
      };
      "/boot" = lib.mkDefault {
        device = "/dev/disk/by-label/boot";
        fsType = "vfat";
        options = [ "umask=0077" ];
      };
    };
    boot.loader = lib.mkIf (!guest) {
      systemd-boot.enable = lib.mkDefault true;
      efi.canTouchEfiVariables = lib.mkDefault true;
    };

    # Disks and network cards of servers, which the installer's own list leaves out.
    boot.initrd.availableKernelModules = lib.mkIf (!guest) [
      "hpsa"
      "megaraid_sas"
      "mpt3sas"
      "smartpqi"
      "virtio_blk"
      "virtio_pci"
      "virtio_scsi"
    ];
    hardware.enableRedistributableFirmware = lib.mkIf (!guest) (lib.mkDefault true);

    # A site is a flake.
    nix.settings.experimental-features = [
      "nix-command"
      "flakes"
    ];
    # Administrators may bring what they built elsewhere; they are root here anyway.
    nix.settings.trusted-users = lib.mkIf (withKeys != { }) [ "@wheel" ];

    services.timesyncd.enable = lib.mkDefault true;

    services.openssh = {
      enable = lib.mkDefault true;
      openFirewall = false;
      ports = lib.mkDefault [ 22 ];
      listenAddresses = map (addr: { inherit addr; }) management;
      settings = {
        PasswordAuthentication = false;
        KbdInteractiveAuthentication = false;
        PermitRootLogin = "prohibit-password";
      };
    };
    # Addresses must be there before sshd can listen on them; those of meshes come later still, and sshd tries once.
    boot.kernel.sysctl = {
      "net.ipv4.ip_nonlocal_bind" = 1;
      "net.ipv6.ip_nonlocal_bind" = 1;
    };
    systemd.services.sshd = {
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
    };
    chasqui.openings.ssh = {
      tcp = config.services.openssh.ports;
      from = if management == [ ] then [ "any" ] else [ "kind:management" ];
    };

    users.users = lib.mapAttrs (name: person: {
      isNormalUser = true;
      description = "Administrator ${name}";
      extraGroups = [
        "systemd-journal"
        "wheel"
      ];
      openssh.authorizedKeys.keys = person.ssh_keys;
    }) withKeys;
    # They have keys, no passwords that sudo could ask for.
    security.sudo.wheelNeedsPassword = lib.mkDefault (withKeys == { });

    # The first release that this project ran on. A host that was installed with a later one says so in its own file.
    system.stateVersion = lib.mkDefault "26.05";
  };
}
