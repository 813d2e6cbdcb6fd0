# Arrays, their controllers, and volumes on LUNs.
{
  lab,
  lib,
  change,
  ...
}:
let
  inStore = "/nix/store/00000000000000000000000000000000-secrets/file";
  array = settings: [ { chasqui.storageArray.arrays.a1 = settings; } ];
  withoutMeshes =
    host:
    lib.filterAttrs (name: _: name != "wg-san" && name != "wg-san-b") lab.hosts.${host}.interfaces;
  clear =
    host:
    lab
    // {
      hosts = lab.hosts // {
        ${host} = lab.hosts.${host} // {
          interfaces = withoutMeshes host;
        };
      };
    };
in
[
  {
    name = "a controller that is not among an array's controllers is refused";
    host = "controller1";
    modules = [ { chasqui.storageArray.name = "elsewhere"; } ];
    fails = "chasqui.storageArray.arrays.a1.controllers: this host, elsewhere, is not among them";
  }
  {
    name = "a RAID 6 group of three drives is refused";
    site = change lab { arrays.a1.group_size = 3; };
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1.groups: RAID 6 needs at least four drives a group";
  }
  {
    name = "drives without a number are refused";
    site = change lab { arrays.a1.drives = "/dev/sda"; };
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1: a drive is named twice; put {} where its number goes";
  }
  {
    name = "an odd number of SSDs is refused, for one would have no mirror";
    site = change lab { arrays.a1.cache.count = 3; };
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1.cache.drives: SSDs are mirrored in pairs";
  }
  {
    name = "LUNs that are larger than their array are refused";
    site = change lab { luns.mail-1.size = "20TB"; };
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1.luns: they need 22800000000000 octets, the array has 6000000000000";
  }
  {
    name = "a controller without an encrypted storage network is refused";
    site = clear "controller1";
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1.portals.controller1: there is no address in an encrypted storage network, so LUNs could only be reached in clear (E19)";
  }
  {
    name = "CHAP secrets in the store are refused on the controller";
    site = change lab { secrets.chap = inStore; };
    host = "controller1";
    fails = "chasqui.storageArray.arrays.a1.luns.*.secret: a path lies in the Nix store";
  }
  {
    name = "an array's identity that is none is refused";
    host = "controller1";
    modules = array { stripe.uuid = "a1"; };
    fails = "chasqui.storageArray.arrays.a1.stripe.uuid";
  }
  {
    name = "a volume on a LUN and a local device at once is refused";
    site = change lab { hosts.storage1.volumes.mail.device = "/dev/sdb"; };
    host = "storage1";
    fails = "chasqui.storageClient.volumes.mail: a volume lies either on a LUN or on a local device";
  }
  {
    name = "a volume on nothing is refused";
    site = change lab { hosts.storage1.volumes.mail.lun = null; };
    host = "storage1";
    fails = "chasqui.storageClient.volumes.mail: a volume lies either on a LUN or on a local device";
  }
  {
    name = "a LUN of controllers without an encrypted storage network is refused";
    site = change lab {
      hosts.controller1.interfaces = {
        wg-san = null;
        wg-san-b = null;
      };
      hosts.controller2.interfaces = {
        wg-san = null;
        wg-san-b = null;
      };
    };
    host = "storage1";
    fails = "chasqui.storageClient.volumes.mail.lun.portals: no controller of the LUN has an address in an encrypted storage network (E19)";
  }
  {
    name = "a host with a LUN and no encrypted storage network is refused";
    site = clear "storage1";
    host = "storage1";
    fails = "chasqui.storageClient.volumes.mail.lun: this host has no address in an encrypted storage network (E19)";
  }
  {
    name = "CHAP secrets in the store are refused on the host";
    site = change lab { secrets.chap = inStore; };
    host = "storage1";
    fails = "chasqui.storageClient.volumes.mail.lun.secret: the path lies in the Nix store";
  }
  {
    name = "a host with a LUN and no iSCSI name is refused";
    host = "storage1";
    modules = [ { chasqui.storageClient.initiator = null; } ];
    fails = "chasqui.storageClient.initiator: a host with LUNs needs an iSCSI name; set it.";
  }
]
