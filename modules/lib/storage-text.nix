# The texts of arrays and volumes (E12), from what `storage.nix` derives, or from the options of the modules, which may say something else.
{ base }:
let
  inherit (builtins)
    concatMap
    concatStringsSep
    map
    sort
    ;

  json = import ./json.nix { inherit base; };

  # What the controllers' programs read: the same facts as JSON, secrets by path.
  description =
    array:
    json {
      inherit (array)
        addresses
        cache
        chunk
        controllers
        groups
        luns
        name
        portals
        spares
        stripe
        ;
      bitmap_chunk = array.bitmapChunk;
      stripe_cache = array.stripeCache;
      stripe_chunk = array.stripeChunk;
      volume_group = array.volumeGroup;
    };

  # mdadm.conf of one array. Nothing is assembled by itself: the drives are cabled to two controllers, and two that write destroy them.
  mdadmConf =
    array:
    let
      mirrors = base.optional (array.cache != null) array.cache;
      drives = concatMap (member: member.drives) (array.groups ++ mirrors) ++ array.spares;
      line = text: member: "ARRAY /dev/md/${member.name} metadata=1.2 UUID=${member.uuid}${text}";
    in
    base.lines (
      [
        "# Array ${array.name} of ${concatStringsSep " and " array.controllers}, from the site file; a change there changes this file."
        "AUTO -all"
        "HOMEHOST <ignore>"
      ]
      ++ map (drive: "DEVICE ${drive}") drives
      ++ map (group: "DEVICE /dev/md/${group.name}") array.groups
      ++ [ "# RAID 6 groups. A spare of one is moved to another that needs it." ]
      ++ map (line " spare-group=${array.name}") array.groups
      ++ [ "# The stripe over them." ]
      ++ [ (line "" array.stripe) ]
      ++ base.optionals (array.cache != null) [
        "# The SSDs in front, mirrored."
        (line "" array.cache)
      ]
    );

  # What the host's programs read of its volumes.
  volumesDescription =
    volumes:
    json (
      map (volume: {
        inherit (volume)
          device
          filesystem
          lun
          mount
          name
          ;
      }) volumes
    );

  # multipath.conf: only LUNs are multipath devices, each under its name; all else is left alone.
  multipathConf =
    luns:
    let
      sorted = sort (a: b: a.name < b.name) luns;
    in
    base.lines (
      [
        "# From the site file; a change there changes this file."
        "defaults {"
        "  user_friendly_names no"
        "  find_multipaths no"
        "  polling_interval 5"
        "  path_grouping_policy multibus"
        "  path_selector \"service-time 0\""
        "  path_checker tur"
        "  failback immediate"
        "  # Until the other controller has taken over, writes wait: an error would turn the file system read-only."
        "  no_path_retry queue"
        "  flush_on_last_del yes"
        "  skip_kpartx yes"
        "}"
        "blacklist {"
        "  wwid \".*\""
        "}"
        "blacklist_exceptions {"
      ]
      ++ map (lun: "  wwid \"${lun.wwid}\"") sorted
      ++ [
        "}"
        "multipaths {"
      ]
      ++ concatMap (lun: [
        "  # LUN ${lun.name}"
        "  multipath {"
        "    wwid ${lun.wwid}"
        "    alias lun-${lun.name}"
        "  }"
      ]) sorted
      ++ [ "}" ]
    );

  # LVM looks at these devices and at no others: not at the single paths of a LUN, nor inside what others keep on theirs.
  lvmFilter =
    devices:
    "global_filter = [ ${
      concatStringsSep ", " (map (device: "\"a|^${device}$|\"") devices ++ [ "\"r|.*|\"" ])
    } ]";
in
{
  inherit
    description
    lvmFilter
    mdadmConf
    multipathConf
    volumesDescription
    ;
}
