# Who backs whom up (E16). Each host has one backup host: of its own data centre where there is one, and one whose backups are on another
# array than what they are of, so that an array that is lost does not take both.
{ lib }:
let
  inherit (builtins)
    attrValues
    concatMap
    elem
    elemAt
    filter
    head
    length
    map
    ;

  arraysOf =
    site: volumes:
    lib.unique (
      map (volume: site.luns.${volume.lun}.array) (filter (volume: volume.lun != null) volumes)
    );
  mounted = site: host: filter (volume: volume.mount != null) (attrValues site.hosts.${host}.volumes);
  # The arrays that a host's data is on; a guest without volumes of its own has it on its disk, in its machine's volume group.
  dataArrays =
    site: host:
    let
      own = arraysOf site (mounted site host);
      dom0 = if site.hosts.${host}.guest then lib.dom0Of site host else null;
    in
    if own != [ ] || dom0 == null then own else arraysOf site (attrValues site.hosts.${dom0}.volumes);
  backupArrays =
    site: host: arraysOf site (filter (volume: volume.mount == site.backup.folder) (mounted site host));

  remainder = n: divisor: n - n / divisor * divisor;

  # The backup host of a host; null if there is none but itself.
  backupHostOf =
    site: host:
    let
      others = filter (other: other != host);
      near = others (lib.hostsWithIn site (lib.datacenterOf site host) "backup");
      all = if near != [ ] then near else others (lib.hostsWith site "backup");
      data = dataArrays site host;
      apart = filter (other: filter (array: elem array data) (backupArrays site other) == [ ]) all;
      candidates = if apart != [ ] then apart else all;
    in
    # By its place among the hosts there: among all hosts, those of one of two data centres could all come to the same.
    if candidates == [ ] then
      null
    else
      elemAt candidates (
        remainder (lib.base.indexOf host (lib.hostsIn site (lib.datacenterOf site host))) (
          length candidates
        )
      );

  # Where administration reaches a host, and so where its sshd listens.
  addressOf =
    site: host:
    let
      management = filter (network: site.networks.${network}.over == [ ]) (
        lib.networksOfKind site "management"
      );
      addresses = concatMap (lib.addressesOn site host) management;
    in
    if addresses == [ ] then lib.serviceAddress site host else head addresses;
in
{
  inherit addressOf backupHostOf;

  # The hosts that a backup host takes care of, each with its address.
  clientsOf =
    site: host:
    lib.genAttrs (filter (other: backupHostOf site other == host) (lib.hosts site)) (other: {
      address = addressOf site other;
    });

  # From where a host is fetched: all addresses of its backup host.
  fetchedFrom =
    site: host:
    let
      by = backupHostOf site host;
    in
    if by == null then [ ] else lib.allAddresses site by;

  # The line of `authorized_keys` that lets a backup host ask one program what it may, and nothing else.
  authorizedKey =
    {
      key,
      command,
      from,
    }:
    "restrict,command=\"${command}\"${
      lib.optionalString (from != [ ]) ",from=\"${builtins.concatStringsSep "," from}\""
    } ${key}";

  json = import ./json.nix { inherit (lib) base; };
}
