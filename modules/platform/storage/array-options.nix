# What can be said of one disk array. Every value comes from the site file; an expert may lay his own over it.
{ lib }:
{ config, name, ... }:
let
  inherit (lib) mkOption types;

  device = {
    name = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      description = "The name of the device, below `/dev/md`.";
    };
    uuid = mkOption {
      type = types.strMatching "([0-9a-f]{8}:){3}[0-9a-f]{8}";
      description = "Its identity, by which it is found again on any drives.";
    };
  };
  drives = mkOption {
    type = types.listOf types.str;
    example = [ "/dev/disk/by-id/wwn-0x5000c500a1b2c3d4" ];
    description = "Block devices, by names that do not change.";
  };

  lun.options = {
    name = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      description = "The name of the LUN and of its logical volume.";
    };
    size = mkOption {
      type = types.ints.positive;
      description = "Octets.";
    };
    cache = mkOption {
      type = types.ints.unsigned;
      default = 0;
      description = "Octets of the SSDs that are its cache. The site file's LUNs share them by their size.";
    };
    serial = mkOption {
      type = types.strMatching "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
      description = "Its serial number, the same on both controllers, so that a host sees one disk by both.";
    };
    target = mkOption {
      type = types.strMatching "iqn\\.[0-9]{4}-[01][0-9]\\.[a-z0-9.-]+:[a-z0-9.-]+";
      description = "The iSCSI name of its target.";
    };
    host = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The host that has a volume on it.";
    };
    initiator = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The iSCSI name of that host, the only one that may log in. Without one the LUN is not exported.";
    };
    secret = mkOption {
      type = types.str;
      description = ''
        Path of the CHAP secrets, outside the Nix store, readable by root only, the same here and on the host: a line `USER SECRET` with which
        the host proves itself and, optionally, a second one with which the target does.
      '';
    };
  };
in
{
  options = {
    name = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      default = name;
      description = "The array's name.";
    };
    controllers = mkOption {
      type = types.listOf types.str;
      description = "The hosts that are cabled to the drives. The first is the one that makes the array.";
    };
    groups = mkOption {
      description = "The RAID 6 groups; any two drives of each may fail.";
      type = types.listOf (
        types.submodule {
          options = device // {
            inherit drives;
          };
        }
      );
    };
    spares = drives // {
      default = [ ];
      description = "Drives that take the place of failed ones, in whichever group they fail.";
    };
    stripe = device;
    cache = mkOption {
      default = null;
      description = ''
        The SSDs in front of the drives, mirrored: RAID 1 of two, RAID 10 of more. Each LUN has a part of them as its own write-back cache
        (dm-cache by LVM), so that nobody's scan drives out what another needs. dm-cache rather than bcache: its records lie in the volume group, so
        that the cache moves along when the other controller takes over, and a LUN's cache can be removed while it is in use.
      '';
      type = types.nullOr (
        types.submodule {
          options = device // {
            inherit drives;
          };
        }
      );
    };
    chunk = mkOption {
      type = types.ints.positive;
      default = 256;
      description = "KiB that lie in a row on one drive of a group. A small read must not need two drives.";
    };
    stripeChunk = mkOption {
      type = types.ints.positive;
      default =
        if config.groups == [ ] then
          config.chunk
        else
          config.chunk * (lib.length (lib.head config.groups).drives - 2);
      defaultText = lib.literalMD "`chunk` times the data drives of a group";
      description = "KiB that lie in a row on one group, so that a long write fills whole rows of it and needs no reading for parity.";
    };
    bitmapChunk = mkOption {
      type = types.str;
      default = "64M";
      description = "Octets of a drive for which the write-intent bitmap has one bit. After a crash only marked parts are compared.";
    };
    stripeCache = mkOption {
      type = types.ints.between 256 32768;
      default = 4096;
      description = "Pages a drive that the kernel keeps for computing parity: 4096 are 160 MiB for a group of ten.";
    };
    volumeGroup = mkOption {
      type = types.strMatching "[a-z0-9][a-z0-9-]*";
      default = "array-${name}";
      description = "The LVM volume group on the array.";
    };
    luns = mkOption {
      type = types.listOf (types.submodule lun);
      default = [ ];
      description = "What is cut from the array and exported.";
    };
    portals = mkOption {
      type = types.attrsOf (types.listOf types.str);
      description = "The addresses at which each controller exports the LUNs; by default those in the storage networks' meshes, which encrypt (E19).";
    };
    addresses = mkOption {
      type = types.attrsOf (types.listOf types.str);
      description = "All addresses of each controller. One that answers at any of them is alive, and nothing is taken from it.";
    };
    capacity = mkOption {
      type = types.nullOr types.ints.positive;
      default = null;
      description = "Octets of the array without parity. Null: not known, and not compared with the LUNs.";
    };
  };
}
