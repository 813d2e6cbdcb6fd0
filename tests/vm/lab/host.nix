# A host of the lab as a machine of a NixOS test: the same configuration as `nixosConfigurations.lab-HOST`, on QEMU's hardware.
#
# What differs, and why:
# - Each network of the site is a wire of its own (QEMU's `vlan`). A VLAN of a machine is a port on its network's wire: the wires carry
#   no tags. A bond has its ports, but QEMU's switch speaks no LACP, so that one of them is in use at a time.
# - Hardware addresses are QEMU's, so that interfaces are known by their names alone.
# - Keys, certificates and passwords are made for the test and copied to where the site file says that they lie. On a real host
#   people bring them there; here they pass through the store, which is why they must never be used for anything else.
{
  # The host's name in the site file.
  host,
  # Whether arrays and LUNs are as small as a test can afford.
  small ? false,
}:
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  keys = import ./keys.nix;
  secrets = import ./secrets.nix {
    inherit chasquiLib pkgs site;
    chasqui = config.services.chasqui.package;
  };
  wires = {
    uplink = 1;
    public = 2;
    service = 3;
    storage = 4;
    storage-b = 5;
    management = 6;
  };

  wired = chasquiLib.network.interfacesOf site host;
  asPort =
    interface:
    interface
    // {
      mac = null;
    }
    # The driver derives hardware addresses from wire and machine: two ports on one wire would have the same.
    // lib.optionalAttrs (interface.kind or "port" == "bond") {
      ports = lib.take 1 interface.ports;
    }
    // lib.optionalAttrs (interface.kind or "port" == "vlan") {
      kind = "port";
      parent = null;
      vlan = null;
    };
  portsOf =
    name: interface:
    if interface.kind or "port" == "bond" then lib.take 1 interface.ports else [ name ];
  # A port that only carries VLANs is on no wire of its own.
  wireOf = interface: wires.${interface.network} or null;
  cables = lib.concatLists (
    lib.mapAttrsToList (
      name: interface: map (port: lib.nameValuePair port (wireOf interface)) (portsOf name interface)
    ) wired
  );
in
{
  chasqui.site.file = import ./site.nix { inherit small; };
  chasqui.host = host;
  chasqui.network.interfaces = lib.mapAttrs (_: asPort) wired;

  # `-net user' would be the first interface, whose name a guest's first one has.
  virtualisation.qemu.networkingOptions = lib.mkForce [ ];
  virtualisation.vlans = [ ];
  virtualisation.interfaces = lib.listToAttrs (
    map (
      cable:
      lib.nameValuePair cable.name {
        vlan = cable.value;
        assignIP = false;
      }
    ) (lib.filter (cable: cable.value != null) cables)
  );
  virtualisation.memorySize = lib.mkDefault 1024;
  virtualisation.diskSize = lib.mkDefault 2048;

  systemd.network.netdevs = lib.mapAttrs' (
    name: _: lib.nameValuePair "10-${name}" { bondConfig.Mode = lib.mkForce "active-backup"; }
  ) (lib.filterAttrs (_: interface: interface.kind or "port" == "bond") wired);

  # A test's machine starts from the store, without a loader and without the disks of the site file.
  boot.loader.systemd-boot.enable = lib.mkOverride 900 false;
  boot.loader.efi.canTouchEfiVariables = false;
  # A virtual machine has the file systems of these options and no others.
  virtualisation.fileSystems = lib.mapAttrs' (
    name: volume:
    lib.nameValuePair volume.mount {
      device = "/dev/${name}/${name}";
      fsType = volume.filesystem;
      options = [
        "noatime"
        "nofail"
        "x-systemd.requires=chasqui-volume-${name}.service"
        "x-systemd.after=chasqui-volume-${name}.service"
      ];
    }
  ) (lib.filterAttrs (_: volume: volume.mount != null) config.chasqui.storageClient.volumes);

  # There is nobody to ask for the time.
  services.timesyncd.enable = lib.mkForce false;

  system.activationScripts.labSecrets = ''
    (
      umask 077
      mkdir -p /etc/chasqui
      cp -r --no-preserve=mode ${secrets}/every/. ${secrets}/${host}/. /etc/chasqui/
      chmod 755 /etc/chasqui
    )
  '';
  environment.etc."chasqui/secrets/wireguard.key" = lib.mkIf (keys ? ${host}) {
    mode = "0400";
    text = keys.${host}.private + "\n";
  };
}
