# An array of the lab (E12, E17): made from its drives, exported over encrypted meshes, reached over both storage networks. A drive fails
# and a path is cut while mail is written, and nothing of it is lost.
let
  host =
    name:
    import ./lab/host.nix {
      host = name;
      small = true;
    };
  # Shelf 1: two groups of five drives and a spare, then the cache's two SSDs, as arrays.a1 of the site file names them.
  names =
    builtins.genList (number: "lab-shelf1-${toString number}") 11
    ++ builtins.genList (number: "lab-shelf1-ssd-${toString number}") 2;
  # QEMU's disks, in order; the first is the machine's own.
  letters = [
    "b"
    "c"
    "d"
    "e"
    "f"
    "g"
    "h"
    "i"
    "j"
    "k"
    "l"
    "m"
    "n"
  ];
in
{
  name = "chasqui-storage";

  nodes = {
    controller1 =
      { lib, ... }:
      {
        imports = [ (host "controller1") ];
        virtualisation.memorySize = 2048;
        virtualisation.emptyDiskImages = map (_: 2048) names;
        services.udev.extraRules = lib.concatStrings (
          lib.zipListsWith (letter: name: ''
            SUBSYSTEM=="block", KERNEL=="vd${letter}", SYMLINK+="disk/by-id/${name}"
          '') letters names
        );
      };
    storage1 = host "storage1";
    service1 = host "service1";
    world = import ./lab/world.nix {
      interfaces.eth1 = {
        vlan = 3;
        addresses = [ "10.20.1.1/24" ];
      };
    };
  };

  testScript = builtins.readFile ./lab/prelude.py + ''

    start_all()
    drive = "/dev/disk/by-id/lab-shelf1-{}"

    with subtest("the array is made of its drives, and only when asked to"):
        controller1.wait_for_unit("multi-user.target")
        controller1.wait_until_succeeds("test -b " + drive.format(10), timeout=30)
        controller1.succeed("chasqui-array create a1")
        controller1.fail("test -e /dev/md/a1")
        controller1.succeed("chasqui-array create a1 --yes")
        controller1.succeed("systemctl restart chasqui-array-a1.service")
        controller1.wait_for_unit("chasqui-target-a1.service")

    with subtest("its node logs in over both meshes, makes its volume and mounts it"):
        storage1.wait_until_succeeds("test $(multipath -ll lun-mail-1 | grep -c 'active ready') -ge 2", timeout=180)
        storage1.succeed("systemctl restart chasqui-volume-mail.service")
        storage1.wait_until_succeeds("mountpoint /var/lib/chasqui/mail || systemctl start var-lib-chasqui-mail.mount", timeout=60)
        storage1.succeed("systemctl restart chasqui-storage.service")
        storage1.wait_for_unit("chasqui-storage.service")

    with subtest("nobody reaches a LUN but through a mesh"):
        storage1.fail("timeout 5 nc -z 10.20.2.2 3260")

    service1.wait_for_unit("chasqui-mx.service")
    fill(service1, ["storage1"])


    def deliver(subject):
        world.wait_until_succeeds(send(world, "10.20.1.41", "de-storage1", subject), timeout=120)
        storage1.succeed(f"grep -rlq 'Subject: {subject}' /var/lib/chasqui/mail")


    with subtest("a drive fails and mail goes on; the spare takes its place"):
        deliver("antes")
        controller1.succeed("mdadm /dev/md/a1-g0 --fail " + drive.format(1))
        deliver("con-un-disco-menos")
        controller1.wait_until_succeeds("mdadm --detail /dev/md/a1-g0 | grep -E 'spare rebuilding|State : (clean|active) *$'", timeout=600)

    with subtest("a second drive of the group fails"):
        controller1.succeed("mdadm /dev/md/a1-g0 --fail " + drive.format(2))
        deliver("con-dos-discos-menos")

    with subtest("a path is cut and mail goes on over the other"):
        storage1.succeed("ip link set eth2 down")
        deliver("por-el-otro-camino")
        storage1.wait_until_succeeds("multipath -ll lun-mail-1 | grep -q faulty", timeout=120)

    with subtest("the path is back"):
        storage1.succeed("ip link set eth2 up && networkctl reconfigure eth2")
        storage1.wait_until_succeeds("test $(multipath -ll lun-mail-1 | grep -c 'active ready') -ge 2", timeout=240)

    with subtest("everything that was acknowledged is there after the node lost its power"):
        storage1.crash()
        storage1.start()
        storage1.wait_for_unit("chasqui-storage.service", timeout=300)
        for subject in ("antes", "con-un-disco-menos", "con-dos-discos-menos", "por-el-otro-camino"):
            storage1.succeed(f"test $(grep -rl 'Subject: {subject}' /var/lib/chasqui/mail | wc -l) -ge 1")
  '';
}
