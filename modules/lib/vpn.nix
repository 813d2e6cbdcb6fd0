# WireGuard meshes from the site (E19): every network that runs `over` others.
#
# The members of a mesh are the hosts with an interface in it; each knows every other by its key, its addresses in the mesh, and the
# address in the first of the networks below that both have. Administrators are peers of the entrances alone (role `vpn`) and have no
# endpoint: they come to us, after a knock.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    filter
    head
    map
    ;
  inherit (lib) base;

  meshesOf =
    site: host: filter (network: site.networks.${network}.over != [ ]) (lib.networksOf site host);
  membersOf = site: network: filter (host: elem network (lib.networksOf site host)) (lib.hosts site);

  withLength = text: "${text}/${if lib.isIPv6 text then "128" else "32"}";
  literal = address: if lib.isIPv6 address then "[${address}]" else address;

  # The first network below a mesh that both hosts have, null if none. Two hosts in different data centres are in the same network only if
  # the site says so.
  commonNetwork =
    site: network: one: other:
    base.findFirst (
      under: lib.addressesOn site one under != [ ] && lib.addressesOn site other under != [ ]
    ) null site.networks.${network}.over;
  # Where `one` reaches `other`: an address of a family that both have there, null if there is none.
  endpointAddress =
    site: network: one: other:
    let
      under = commonNetwork site network one other;
      both =
        family: lib.address site one under family != null && lib.address site other under family != null;
    in
    if under == null then
      null
    else if both 4 then
      lib.address site other under 4
    else if both 6 then
      lib.address site other under 6
    else
      null;

  # What a packet may have for payload: the wire's, less IPv6 (40), UDP (8) and WireGuard (32).
  mtuOver =
    site: network:
    let
      m = site.networks.${network};
      wires = map (
        under: if site.networks.${under}.mtu == null then 1500 else site.networks.${under}.mtu
      ) m.over;
    in
    if m.mtu != null then
      m.mtu
    else
      builtins.foldl' (a: b: if b < a then b else a) (head wires) wires - 80;

  personsOf =
    site: host: network:
    base.optionals (lib.hasRole site host "vpn") (
      filter (person: site.administrators.${person}.addresses ? ${network}) (
        attrNames site.administrators
      )
    );

  meshOf =
    site: host: network:
    let
      m = site.networks.${network};
      own = lib.addressesOn site host network;
      length = text: lib.prefixLength (lib.prefixOfAddress site network text);
      others = filter (other: other != host) (membersOf site network);
      persons = personsOf site host network;
    in
    {
      inherit (m) port;
      addresses = map (text: "${text}/${toString (length text)}") own;
      mtu = mtuOver site network;
      peers =
        map (
          other:
          let
            address = endpointAddress site network host other;
          in
          {
            name = other;
            publicKey = site.hosts.${other}.wireguard_key;
            allowedIPs = map withLength (lib.addressesOn site other network);
            endpoint = if address == null then null else "${literal address}:${toString m.port}";
          }
        ) others
        ++ map (person: {
          name = person;
          publicKey = site.administrators.${person}.wireguard_key;
          allowedIPs = map withLength site.administrators.${person}.addresses.${network};
          endpoint = null;
        }) persons;
      # Who may send to the port without a knock.
      members = filter (text: text != null) (map (endpointAddress site network host) others);
      inherit persons;
    };
in
{
  # The meshes of a host by the name of its interface.
  fromSite =
    site: host:
    builtins.listToAttrs (
      map (network: {
        name = lib.interfaceOn site host network;
        value = meshOf site host network // {
          inherit network;
        };
      }) (meshesOf site host)
    );

  # The text that `wg setconf` reads, without the private key: for checks, and for whoever wants to see a mesh at a glance.
  render =
    mesh:
    base.lines (
      [
        "# From the site file; a change there changes this file."
        "[Interface]"
        "ListenPort = ${toString mesh.port}"
      ]
      ++ concatMap (
        peer:
        [
          ""
          "# ${peer.name}"
          "[Peer]"
          "PublicKey = ${toString peer.publicKey}"
          "AllowedIPs = ${builtins.concatStringsSep ", " peer.allowedIPs}"
        ]
        ++ base.optional (peer.endpoint != null) "Endpoint = ${peer.endpoint}"
      ) mesh.peers
    );

}
