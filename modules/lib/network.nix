# A host's interfaces: what each is made of, its addresses, and the way out.
#
# A machine that has Xen guests in a network carries that network on a bridge, which then holds the machine's own addresses. A mesh
# (`over`) is not here: the VPN makes its interface.
{
  base,
  model,
  address,
}:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elem
    filter
    foldl'
    head
    map
    mapAttrs
    stringLength
    ;

  # Kernel names have at most 15 characters.
  bridgeName =
    network: if stringLength network <= 12 then "br-${network}" else "br-${base.hash8 network}";

  isMesh = site: network: site.networks.${network}.over != [ ];

  # The networks that the guests of a host's machine are in.
  guestNetworks =
    site: host:
    if site.hosts.${host}.guest then
      [ ]
    else
      base.unique (concatMap (model.networksOf site) (model.guestsOf site site.hosts.${host}.machine));
  isBridged =
    site: host: network:
    !(isMesh site network) && elem network (guestNetworks site host);

  withLength =
    site: host: name: network: text:
    let
      prefix = model.prefixOfAddress site network text;
    in
    if prefix == null then
      throw "hosts.${host}.interfaces.${name}.addresses: ${text} lies in no prefix of the network `${network}'; change it, or add the prefix to networks.${network}.prefixes"
    else
      "${text}/${toString (address.prefixLength prefix)}";

  # The gateway that a host sends a family's packets to, with the network that it is in. The provider comes first, then the public
  # network, then the inner ones; nobody is his own gateway.
  gatewayOf =
    site: host: family:
    let
      networks = model.networksOf site host;
      ofKind =
        kind: filter (network: site.networks.${network}.kind == kind && !(isMesh site network)) networks;
      usable =
        network:
        let
          n = site.networks.${network};
        in
        (n.gateway_role == null || !(model.hasRole site host n.gateway_role))
        && model.address site host network family != null;
      candidates =
        concatMap
          (
            network:
            map (gateway: { inherit network gateway; }) (model.ofFamily family site.networks.${network}.gateway)
          )
          (
            filter usable (
              concatMap ofKind [
                "uplink"
                "public"
                "service"
                "management"
              ]
            )
          );
    in
    if candidates == [ ] then null else head candidates;

  maximum = foldl' (a: b: if b > a then b else a) 0;
in
{
  inherit bridgeName gatewayOf;

  # The interface that holds a host's addresses in a network: a bridge where its guests share the network. Null if none.
  deviceOn =
    site: host: network:
    if isBridged site host network then bridgeName network else model.interfaceOn site host network;

  interfacesOf =
    site: host:
    let
      h = site.hosts.${host};
      wires = base.filterAttrs (_: interface: !(isMesh site interface.network)) h.interfaces;
      mtuOf =
        interface:
        if site.networks.${interface.network}.mtu == null then
          0
        else
          site.networks.${interface.network}.mtu;
      # A parent carries the packets of its VLANs.
      mtu =
        name: interface:
        let
          largest = maximum (
            [ (mtuOf interface) ] ++ map mtuOf (filter (other: other.parent == name) (attrValues wires))
          );
        in
        if largest == 0 then null else largest;
      gateways =
        network:
        concatMap
          (
            family:
            let
              way = gatewayOf site host family;
            in
            base.optional (way != null && way.network == network) way.gateway
          )
          [
            4
            6
          ];
      held = name: interface: {
        addresses = map (withLength site host name interface.network) interface.addresses;
        gateways = gateways interface.network;
      };
      bare = {
        addresses = [ ];
        gateways = [ ];
        mtu = null;
        vlan = null;
        ports = [ ];
        parent = null;
        bridge = null;
        mac = null;
      };
      wire =
        name: interface:
        let
          bridged = isBridged site host interface.network;
        in
        bare
        // {
          kind =
            if interface.bond != [ ] then
              "bond"
            else if interface.parent != null then
              "vlan"
            else
              "port";
          inherit (interface) network parent;
          ports = interface.bond;
          vlan = if interface.parent == null then null else site.networks.${interface.network}.vlan;
          mtu = mtu name interface;
          mac = if h.guest then model.mac site host name else null;
          bridge = if bridged then bridgeName interface.network else null;
        }
        // base.optionalAttrs (!bridged) (held name interface);
      bridges = builtins.listToAttrs (
        map (name: {
          name = bridgeName wires.${name}.network;
          value =
            bare
            // {
              kind = "bridge";
              inherit (wires.${name}) network;
              # Not what its port carries for VLANs besides.
              mtu = if mtuOf wires.${name} == 0 then 1500 else mtuOf wires.${name};
            }
            // held name wires.${name};
        }) (filter (name: isBridged site host wires.${name}.network) (attrNames wires))
      );
    in
    mapAttrs wire wires // bridges;

  # The hosts file: every host of the site by its internal name, at the address where the others reach it.
  hostsFile =
    site:
    builtins.listToAttrs (
      map (host: {
        name = model.serviceAddress site host;
        value = [
          (model.fqdn site host)
          host
        ];
      }) (model.hosts site)
    );
}
