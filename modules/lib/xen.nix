# Xen guests (E10): what each gets of its machine, and xl's configuration for it.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    isInt
    isList
    map
    sort
    stringLength
    toString
    ;

  mebibytes = size: lib.bytes size / 1048576;
  sum = foldl' (a: b: a + b) 0;

  # eth2 before eth10.
  numerically = sort (
    a: b: if stringLength a == stringLength b then a < b else stringLength a < stringLength b
  );

  guestOf =
    site: name:
    let
      guest = site.hosts.${name};
      wires = filter (interface: site.networks.${guest.interfaces.${interface}.network}.over == [ ]) (
        attrNames guest.interfaces
      );
    in
    {
      cores = guest.cores;
      memory = mebibytes guest.memory;
      disk = lib.bytes guest.disk;
      roles = guest.roles;
      interfaces = map (interface: {
        name = interface;
        mac = lib.mac site name interface;
        network = guest.interfaces.${interface}.network;
        bridge = lib.network.bridgeName guest.interfaces.${interface}.network;
      }) (numerically wires);
    };

  guestsOf = site: host: lib.genAttrs (lib.guestsOf site site.hosts.${host}.machine) (guestOf site);

  # What guests leave of the machine's memory is the host's, at least 1 GiB, and more than 4 GiB it does not need.
  ownMemory =
    site: host:
    let
      left =
        mebibytes site.machines.${site.hosts.${host}.machine}.memory
        - sum (map (guest: guest.memory) (builtins.attrValues (guestsOf site host)));
    in
    if left < 1024 then
      1024
    else if left > 4096 then
      4096
    else
      left;

  # Redundant groups of which all are on one machine (E10): what is wrong with each, with its path.
  together =
    site: machine:
    let
      here = filter (host: site.hosts.${host}.machine == machine) (lib.hosts site);
      dc = lib.machineDatacenter site machine;
      roles = lib.unique (concatMap (host: site.hosts.${host}.roles) here);
      whole = role: lib.hostsWithIn site dc role;
      isTogether =
        role:
        builtins.length (whole role) > 1
        && filter (host: site.hosts.${host}.machine != machine) (whole role) == [ ];
    in
    map (role: {
      inherit role;
      hosts = whole role;
      text = "hosts.${lib.last (whole role)}.machine: every `${role}' of data centre `${dc}' (${concatStringsSep ", " (whole role)}) is on machine `${machine}', so that its standby dies with it (E10); move one of them to another machine.";
    }) (filter isTogether roles);

  quote = text: "\"${text}\"";
  value =
    v:
    if isInt v then
      toString v
    else if isList v then
      if v == [ ] then "[ ]" else "[\n${lib.concatMapStrings (item: "    ${quote item},\n") v}]"
    else
      quote v;
  # Order as a person would write it; what is not in the list comes after, by name.
  order = [
    "name"
    "uuid"
    "type"
    "kernel"
    "vcpus"
    "memory"
    "disk"
    "vif"
  ];
in
{
  inherit
    guestsOf
    mebibytes
    ownMemory
    together
    ;

  # Keys of xl.cfg(5) for a guest. PVH: no emulated hardware, so no device model whose holes reach the host.
  settingsOf =
    {
      name,
      uuid,
      guest,
      volume,
      kernel,
    }:
    {
      inherit kernel name uuid;
      type = "pvh";
      vcpus = guest.cores;
      inherit (guest) memory;
      disk = [ "format=raw, vdev=xvda, access=rw, target=${volume}" ];
      vif = map (interface: "mac=${interface.mac}, bridge=${interface.bridge}") guest.interfaces;
      on_poweroff = "destroy";
      on_reboot = "restart";
      on_crash = "restart";
    };

  # Identity of a guest, the same at every start.
  uuid =
    site: name:
    let
      d = builtins.hashString "sha256" "${site.name}/guest/${name}";
      part = builtins.substring;
    in
    "${part 0 8 d}-${part 8 4 d}-${part 12 4 d}-${part 16 4 d}-${part 20 12 d}";

  text =
    { comments, settings }:
    lib.base.lines (
      map (comment: "# ${comment}") comments
      ++ concatMap (key: lib.optional (settings ? ${key}) "${key} = ${value settings.${key}}") (
        order ++ filter (key: !(builtins.elem key order)) (attrNames settings)
      )
    );
}
