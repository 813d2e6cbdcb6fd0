# A Xen host of the lab (E10): it boots into Xen as the first domain, its volume group holds the guests' disks, each guest has its unit, and a
# guest that was never installed is not started. Guests themselves are not started here: a virtual machine inside a virtual machine inside
# a test would say more about QEMU than about us.
let
  host = name: import ./lab/host.nix { host = name; };
in
{
  name = "chasqui-xen-host";

  nodes.blade1 =
    { lib, ... }:
    {
      imports = [ (host "blade1") ];
      virtualisation.memorySize = 4096;
      # Xen is started by the loader.
      virtualisation.useBootLoader = true;
      virtualisation.useEFIBoot = true;
      boot.loader.systemd-boot.enable = true;
      boot.loader.timeout = lib.mkForce 0;
      # The guests' disks lie on a disk of the machine, not on a LUN.
      virtualisation.emptyDiskImages = [ 4096 ];
      chasqui.storageClient.volumes.guests = {
        lun = lib.mkForce null;
        device = lib.mkForce "/dev/vdb";
      };
    };

  testScript = ''
    start_all()

    with subtest("the machine is Xen's first domain"):
        blade1.wait_for_unit("multi-user.target")
        blade1.wait_for_unit("xenstored.service")
        blade1.succeed("test \"$(cat /sys/hypervisor/type)\" = xen")
        blade1.succeed("xl list | grep -q Domain-0")

    with subtest("xl takes the configuration of each guest"):
        for guest in ("facade1", "service1"):
            blade1.succeed(f"xl create --dryrun /etc/xen/guests/{guest}.cfg")

    with subtest("the volume group for guests is there"):
        blade1.wait_for_unit("chasqui-volume-guests.service")
        blade1.succeed("vgs guests")

    with subtest("a guest without a system is not started, and does not fail"):
        blade1.fail("systemctl is-active xen-guest-service1.service")
        blade1.fail("systemctl is-failed xen-guest-service1.service")

    with subtest("guests' networks are bridged"):
        blade1.wait_until_succeeds("ip link show br-service", timeout=60)
  '';
}
