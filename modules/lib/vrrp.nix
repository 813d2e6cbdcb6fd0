# Addresses that stay with a pair of hosts while one of them goes (VRRP, RFC 3768 and RFC 5798): which instance holds which, and with whom.
#
# Adverts go from host to host, never by multicast, so that a switch that filters multicast breaks nothing and the firewall admits the
# peers alone. Addresses of both families are in one instance and move together.
{ lib }:
let
  inherit (builtins)
    all
    any
    elemAt
    filter
    genList
    length
    map
    ;
  inherit (lib) base;

  withLength = text: "${text}/${if lib.isIPv6 text then "128" else "32"}";

  # `members` from the `first`-th on, then those before it: who is next when the first is gone.
  rotated =
    members: first: genList (i: elemAt members (mod (first + i) (length members))) (length members);
  mod = a: b: a - b * (a / b);
in
{
  # The instance of `host` for `addresses` in a network that all `members` (sorted names) are in.
  instance =
    site: host:
    {
      # The network in which the members hear each other.
      network,
      members,
      id,
      addresses,
      # Which member comes first; the others follow in order.
      first ? 0,
      # Which instances move together.
      group,
      # Whether a host that comes back takes its addresses again.
      preempt ? false,
    }:
    let
      everyone = family: all (member: lib.address site member network family != null) members;
      family =
        if everyone 4 && (!(everyone 6) || any (address: !(lib.isIPv6 address)) addresses) then 4 else 6;
      own = member: lib.address site member network family;
      order = rotated members first;
    in
    {
      inherit
        id
        group
        addresses
        preempt
        ;
      interface = lib.network.deviceOn site host network;
      priority = 200 - 10 * base.indexOf host order;
      source = own host;
      peers = map own (filter (member: member != host) members);
    };

  # What NixOS' `services.keepalived.vrrpInstances` takes.
  toNixos = instance: {
    inherit (instance) interface priority;
    state = "BACKUP";
    noPreempt = !instance.preempt;
    virtualRouterId = instance.id;
    trackScripts = instance.trackScripts or [ ];
    unicastSrcIp = instance.source;
    unicastPeers = instance.peers;
    virtualIps = map (address: { addr = withLength address; }) (
      filter (address: lib.family address == lib.family instance.source) instance.addresses
    );
    extraConfig =
      let
        others = filter (address: lib.family address != lib.family instance.source) instance.addresses;
      in
      base.lines (
        [
          "advert_int 1"
          "garp_master_delay 1"
        ]
        ++ base.optional instance.preempt "preempt_delay 60"
        ++ base.optionals (others != [ ]) (
          [ "virtual_ipaddress_excluded {" ] ++ map (address: "  ${withLength address}") others ++ [ "}" ]
        )
        # VRRP for IPv6 has no authentication (RFC 5798 §9): there, the firewall alone keeps others out.
        ++ base.optionals (!(lib.isIPv6 instance.source)) [
          "authentication {"
          "  auth_type AH"
          "  auth_pass \${VRRP_PASSWORD}"
          "}"
        ]
      );
  };

  # Instances of a group move together: a host that lost one of its networks must not keep the gateway of another.
  groupsText =
    instances:
    let
      names = builtins.attrNames instances;
      groups = filter (group: length (membersOf group) > 1) (
        base.unique (map (name: instances.${name}.group) names)
      );
      membersOf = group: filter (name: instances.${name}.group == group) names;
    in
    base.concatMapStrings (
      group:
      base.lines (
        [
          "vrrp_sync_group ${group} {"
          "  group {"
        ]
        ++ map (name: "    ${name}") (membersOf group)
        ++ [
          "  }"
          "}"
        ]
      )
    ) groups;
}
