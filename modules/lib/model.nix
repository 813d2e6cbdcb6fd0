# Questions to a site. `site` is always what `load` or `check` returned, `host` a host's name, `dc` a data centre's.
{ base, address }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elem
    filter
    hashString
    head
    map
    replaceStrings
    substring
    ;
  inherit (address) family contains;

  hosts = site: attrNames site.hosts;
  hasRole =
    site: host: role:
    elem role site.hosts.${host}.roles;
  hostsWith = site: role: filter (host: hasRole site host role) (hosts site);

  machineDatacenter =
    site: machine:
    let
      m = site.machines.${machine};
    in
    if m.datacenter != null then
      m.datacenter
    else if m.chassis != null then
      site.chassis.${m.chassis}.datacenter
    else
      throw "machines.${machine}.datacenter: say where the machine is, by this key or by `chassis'";
  datacenterOf = site: host: machineDatacenter site site.hosts.${host}.machine;
  hostsIn = site: dc: filter (host: datacenterOf site host == dc) (hosts site);
  hostsWithIn =
    site: dc: role:
    filter (host: datacenterOf site host == dc) (hostsWith site role);
  peers =
    site: host: role:
    filter (other: other != host) (hostsWithIn site (datacenterOf site host) role);

  interfaceOn =
    site: host: network:
    base.findFirst (name: site.hosts.${host}.interfaces.${name}.network == network) null (
      attrNames site.hosts.${host}.interfaces
    );
  networksOf =
    site: host:
    base.unique (map (interface: interface.network) (attrValues site.hosts.${host}.interfaces));
  addressesOn =
    site: host: network:
    concatMap (interface: base.optionals (interface.network == network) interface.addresses) (
      attrValues site.hosts.${host}.interfaces
    );
  ofFamily = wanted: filter (text: family text == wanted);
  firstOf = list: if list == [ ] then null else head list;
  addressOn =
    site: host: network: wanted:
    firstOf (ofFamily wanted (addressesOn site host network));
  networksOfKind =
    site: kind: filter (name: site.networks.${name}.kind == kind) (attrNames site.networks);
  addressOfKind =
    site: host: kind: wanted:
    firstOf (ofFamily wanted (concatMap (addressesOn site host) (networksOfKindWires site kind)));
  # Networks of a kind that are no mesh: where a host's own addresses of this kind are.
  networksOfKindWires =
    site: kind: filter (name: site.networks.${name}.over == [ ]) (networksOfKind site kind);
  allAddresses =
    site: host: concatMap (interface: interface.addresses) (attrValues site.hosts.${host}.interfaces);

  # Where the other hosts of the site reach a host: its address in a service network, else of the next kind that it has.
  serviceAddresses =
    site: host:
    let
      of = kind: concatMap (addressesOn site host) (networksOfKindWires site kind);
      found = base.findFirst (list: list != [ ]) (allAddresses site host) (
        map of [
          "service"
          "management"
          "public"
          "uplink"
        ]
      );
    in
    ofFamily 4 found ++ ofFamily 6 found;
  serviceAddress = site: host: firstOf (serviceAddresses site host);

  dom0OfMachine =
    site: machine:
    base.findFirst (host: !site.hosts.${host}.guest && site.hosts.${host}.machine == machine) null (
      hosts site
    );
in
{
  inherit
    addressOfKind
    addressesOn
    allAddresses
    datacenterOf
    hasRole
    hosts
    hostsIn
    hostsWith
    hostsWithIn
    interfaceOn
    machineDatacenter
    networksOf
    networksOfKind
    ofFamily
    peers
    serviceAddress
    serviceAddresses
    ;
  address = addressOn;

  fqdn = site: host: "${host}.${site.internal_domain}";

  # The prefix of a network that an address lies in, null if none.
  prefixOfAddress =
    site: network: text:
    base.findFirst (prefix: contains prefix text) null site.networks.${network}.prefixes;
  # The network that an address lies in, null if none.
  networkOfAddress =
    site: text:
    base.findFirst (
      network:
      base.findFirst (prefix: contains prefix text) null site.networks.${network}.prefixes != null
    ) null (attrNames site.networks);

  # VRRP router ids, unique in a network, because a network has at most one of each.
  vrid =
    what:
    {
      gateway = 10;
      public = 20;
      facade = 30;
      database = 40;
    }
    .${what};

  dom0Of = site: host: dom0OfMachine site site.hosts.${host}.machine;
  guestsOf =
    site: machine:
    filter (host: site.hosts.${host}.guest && site.hosts.${host}.machine == machine) (hosts site);

  # A guest's hardware address: in Xen's range, the rest from the names, so that it never changes.
  mac =
    site: host: interface:
    let
      digest = hashString "sha256" "${site.name}/${host}/${interface}";
      octet = i: substring (2 * i) 2 digest;
    in
    "00:16:3e:${octet 0}:${octet 1}:${octet 2}";

  # A path from `secrets` as it is on a host.
  secret =
    site: host: name:
    replaceStrings [ "{host}" ] [ host ] site.secrets.${name};
  # Whether a path is outside the Nix store, where everybody could read it.
  notInStore =
    path:
    !(
      base.hasPrefix "${builtins.storeDir}/" (toString path)
      || base.hasPrefix "/nix/store/" (toString path)
    );

  # What the host serves to the internet: the entries of `publish` of its roles in its data centre, each with its `name`
  # and with `here`, its addresses there.
  publishedFor =
    site: host:
    let
      dc = datacenterOf site host;
    in
    concatMap (
      name:
      let
        entry = site.publish.${name};
      in
      base.optional (hasRole site host entry.role && entry.at ? ${dc}) (
        entry
        // {
          inherit name;
          here = entry.at.${dc};
        }
      )
    ) (attrNames site.publish);

  # The host that has a volume on a LUN, null if none.
  lunHost =
    site: lun:
    base.findFirst (
      host: elem lun (map (volume: volume.lun) (attrValues site.hosts.${host}.volumes))
    ) null (hosts site);
  # The arrays that a host controls, or may take over.
  arraysOf =
    site: host: filter (array: elem host site.arrays.${array}.controllers) (attrNames site.arrays);
}
