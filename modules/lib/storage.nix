# Disk arrays (E12): which drives make which group, what is cut from the array, and to whom it goes. RAID 6 groups, striped (RAID 6+0), SSDs
# mirrored in front, LVM on top, a logical volume a LUN, each LUN an iSCSI target of its own for the one host that has a volume on it.
#
# Names and identities follow from the site file alone, so that either controller assembles the same array, and that an initiator sees
# one and the same disk whichever of them exports it.
{ base, model }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    foldl'
    genList
    hashString
    listToAttrs
    map
    replaceStrings
    substring
    toString
    ;

  sum = foldl' (a: b: a + b) 0;
  mib = 1024 * 1024;

  digits = site: text: hashString "sha256" "${site.name}/${text}";
  mdUuid =
    site: text:
    let
      d = digits site text;
    in
    concatStringsSep ":" (genList (i: substring (8 * i) 8 d) 4);
  uuid =
    site: text:
    let
      d = digits site text;
    in
    "${substring 0 8 d}-${substring 8 4 d}-${substring 12 4 d}-${substring 16 4 d}-${substring 20 12 d}";

  # The kernel's target makes a disk's identifier of its serial: NAA 6, its own vendor number, then the serial's first 25 digits.
  wwid = serial: "36001405${substring 0 25 (replaceStrings [ "-" ] [ "" ] serial)}";

  # RFC 3720 §3.2.6.3.1: a date on which we held the name, and the domain backwards.
  backwards =
    domain:
    concatStringsSep "." (foldl' (parts: part: [ part ] ++ parts) [ ] (base.splitOn "." domain));
  iqn = site: name: "iqn.2026-11.${backwards site.internal_domain}:${name}";
  initiator = site: host: iqn site host;
  targetOf = site: lun: iqn site "${site.luns.${lun}.array}.${lun}";

  numbered = pattern: number: replaceStrings [ "{}" ] [ (toString number) ] pattern;

  lunsOn = site: array: filter (lun: site.luns.${lun}.array == array) (attrNames site.luns);

  # The networks that LUNs are reached through: meshes, in which everything is encrypted (E19).
  sanNetworks =
    site:
    filter (
      network: site.networks.${network}.kind == "storage" && site.networks.${network}.over != [ ]
    ) (attrNames site.networks);
  portalsOf = site: host: concatMap (model.addressesOn site host) (sanNetworks site);

  # Octets that hold data: two drives of each group are for parity.
  capacity =
    site: array:
    let
      a = site.arrays.${array};
    in
    a.groups * (a.group_size - 2) * base.bytes a.drive_size;
  # The SSDs are mirrored, so half of them counts; five hundredths are left for LVM's own records.
  cacheCapacity =
    cache: if cache == null then 0 else cache.count / 2 * (base.bytes cache.size / mib) * 95 / 100;

  # A LUN's share of the cache, in MiB of whole extents (4 MiB).
  cacheShare =
    site: array: lun:
    let
      size = name: base.bytes site.luns.${name}.size / mib;
      all = sum (map size (lunsOn site array));
    in
    if all == 0 then 0 else cacheCapacity site.arrays.${array}.cache * size lun / all / 4 * 4;

  lunOf = site: array: name: {
    inherit name;
    size = base.bytes site.luns.${name}.size;
    cache = cacheShare site array name * mib;
    serial = uuid site "lun/${name}";
    target = targetOf site name;
    host = model.lunHost site name;
    initiator =
      let
        host = model.lunHost site name;
      in
      if host == null then null else initiator site host;
    secret = "${site.secrets.chap}/${name}";
  };

  # Everything about an array: the same on both controllers.
  arrayOf =
    site: name:
    let
      a = site.arrays.${name};
      group = number: {
        name = "${name}-g${toString number}";
        uuid = mdUuid site "array/${name}/group/${toString number}";
        drives = genList (i: numbered a.drives (number * a.group_size + i)) a.group_size;
      };
    in
    {
      inherit name;
      inherit (a) controllers;
      groups = genList group a.groups;
      spares = genList (i: numbered a.drives (a.groups * a.group_size + i)) a.spares;
      stripe = {
        inherit name;
        uuid = mdUuid site "array/${name}";
      };
      cache =
        if a.cache == null then
          null
        else
          {
            name = "${name}-cache";
            uuid = mdUuid site "array/${name}/cache";
            drives = genList (numbered a.cache.drives) a.cache.count;
          };
      volumeGroup = "array-${name}";
      luns = map (lunOf site name) (lunsOn site name);
      portals = listToAttrs (
        map (controller: {
          name = controller;
          value = portalsOf site controller;
        }) a.controllers
      );
      # Where the other controller is asked whether it lives before an array is taken over: everywhere.
      addresses = listToAttrs (
        map (controller: {
          name = controller;
          value = model.allAddresses site controller;
        }) a.controllers
      );
    };

  # Volumes of a host, each with the ways to its LUN: first the controller that runs the array, then the one that can take over.
  volumesOf =
    site: host:
    let
      volume =
        name:
        let
          v = site.hosts.${host}.volumes.${name};
          lun = site.luns.${v.lun};
        in
        {
          inherit name;
          value = {
            inherit (v)
              device
              filesystem
              mount
              ;
            lun =
              if v.lun == null then
                null
              else
                {
                  name = v.lun;
                  wwid = wwid (uuid site "lun/${v.lun}");
                  target = targetOf site v.lun;
                  portals = concatMap (portalsOf site) site.arrays.${lun.array}.controllers;
                  secret = "${site.secrets.chap}/${v.lun}";
                };
          };
        };
    in
    listToAttrs (map volume (attrNames site.hosts.${host}.volumes));
in
{
  inherit
    arrayOf
    capacity
    initiator
    portalsOf
    sanNetworks
    targetOf
    volumesOf
    wwid
    ;
}
