# Xen hosts, their guests, and blades.
{
  lab,
  change,
  ...
}:
[
  {
    name = "guests that have more memory than their machine are refused";
    site = change lab { hosts.service1.memory = "60GiB"; };
    host = "blade1";
    fails = "chasqui.xenHost.guests.*.memory: the guests (data1, facade1, service1, web1) have 68608 MiB and the host itself 1024, the machine has 65536";
  }
  {
    name = "guests that have more cores than their machine are refused";
    site = change lab { hosts.service1.cores = 14; };
    host = "blade1";
    fails = "chasqui.xenHost.guests.*.cores: the guests (data1, facade1, service1, web1) have 19 cores, the machine has 16";
  }
  {
    name = "a Xen host with too little memory of its own is refused";
    host = "blade1";
    modules = [ { chasqui.xenHost.memory = 512; } ];
    fails = "chasqui.xenHost.memory: the host's own system needs 1024 MiB, it has 512";
  }
  {
    name = "a Xen host without a volume for its guests is refused";
    site = change lab { hosts.blade1.volumes.guests = null; };
    host = "blade1";
    fails = "chasqui.xenHost.volumeGroup: the host has no volume `guests' for its guests' disks";
  }
  {
    name = "guests' disks that are larger than their volume group are refused";
    site = change lab { hosts.service1.disk = "400GB"; };
    host = "blade1";
    fails = "chasqui.xenHost.guests.*.disk: the guests (data1, facade1, service1, web1) need 456000000000 octets, the volume group `guests' has 400000000000";
  }
  {
    name = "a bridge whose name the kernel would refuse is refused";
    host = "blade1";
    modules = [
      {
        chasqui.xenHost.guests.web1.interfaces = [
          {
            name = "eth0";
            mac = "00:16:3e:00:00:01";
            bridge = "br-with-a-long-name";
          }
        ];
      }
    ];
    fails = "chasqui.xenHost.guests.web1.interfaces: the name of a bridge has more than 15 characters";
  }
  {
    name = "a redundant pair on one machine is refused";
    site = change lab { hosts.facade2.machine = "blade-1"; };
    host = "blade1";
    fails = "hosts.facade2.machine: every `facade' of data centre `norte' (facade1, facade2) is on machine `blade-1', so that its standby dies with it (E10); move one of them to another machine.";
  }
  {
    name = "a guest that is to be a Xen host is refused";
    host = "service1";
    modules = [ { chasqui.xenHost.enable = true; } ];
    fails = "chasqui.xenGuest.enable: a guest cannot be a Xen host";
  }
  {
    name = "a guest that is to be a blade is refused";
    host = "service1";
    modules = [ { chasqui.blade.enable = true; } ];
    fails = "chasqui.blade.enable: hosts.service1 is a Xen guest, and a guest has no hardware";
  }
]
