# What may pass through firewalls, routers and VPN entrances, from the site (E2): the zones of their interfaces, what is published, what hosts
# need of the internet, and who administers.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    elem
    filter
    map
    ;
  inherit (lib) base;
  inherit (lib.firewall) disjoint within;

  named = comment: address: { inherit address comment; };

  isMesh = site: network: site.networks.${network}.over != [ ];
  hasAdministrators =
    site: network:
    builtins.any (person: site.administrators.${person}.addresses ? ${network}) (
      attrNames site.administrators
    );
  zoneOf =
    site: network:
    if !(isMesh site network) then
      site.networks.${network}.kind
    else if hasAdministrators site network then
      "administrators"
    else
      "mesh";
  devicesIn =
    site: host: zone:
    concatMap (network: [ (lib.network.deviceOn site host network) ]) (
      filter (network: zoneOf site network == zone) (lib.networksOf site host)
    );

  networksIn =
    site: dc: kind:
    filter (network: site.networks.${network}.datacenter == dc && !(isMesh site network)) (
      lib.networksOfKind site kind
    );

  # Ranges that the internet never sends from (RFC 6890), less those that the site itself has outside.
  bogons = [
    "0.0.0.0/8"
    "10.0.0.0/8"
    "100.64.0.0/10"
    "127.0.0.0/8"
    "169.254.0.0/16"
    "172.16.0.0/12"
    "192.168.0.0/16"
    "224.0.0.0/3"
    "::1/128"
    "fc00::/7"
    "ff00::/8"
  ];

  # What hosts may open towards the internet, and which role is needed for it. The web has their updates and certificates.
  egressRules = [
    {
      name = "mail";
      role = "relay";
      tcp = [ 25 ];
      udp = [ ];
    }
    {
      name = "names";
      role = null;
      tcp = [
        53
        853
      ];
      udp = [ 53 ];
    }
    {
      name = "time";
      role = null;
      tcp = [ 4460 ];
      udp = [ 123 ];
    }
    {
      name = "web";
      role = null;
      tcp = [
        80
        443
      ];
      udp = [ ];
    }
  ];
in
{
  # The zones, and what may go from one to the other.
  fromSite =
    site: host:
    let
      dc = lib.datacenterOf site host;
      isFirewall = lib.hasRole site host "firewall";
      isRouter = lib.hasRole site host "router";
      isEntrance = lib.hasRole site host "vpn";
      zones = base.genAttrs [
        "uplink"
        "public"
        "service"
        "storage"
        "management"
        "administrators"
        "mesh"
      ] (devicesIn site host);
      outside =
        if isFirewall then
          [ "uplink" ]
        else if isRouter then
          [ "public" ]
        else
          [ ];
      inside = base.optional isFirewall "public" ++ base.optional isRouter "service";
      outsideNetworks = filter (network: elem (zoneOf site network) (outside ++ [ "public" ])) (
        lib.networksOf site host
      );
      ownPrefixes = concatMap (network: site.networks.${network}.prefixes) outsideNetworks;

      serviceHosts =
        role:
        filter (other: role == null || lib.hasRole site other role) (
          filter (
            other:
            builtins.any (network: elem network (lib.networksOf site other)) (networksIn site dc "service")
          ) (lib.hostsIn site dc)
        );
      behindRouter =
        role:
        concatMap (
          other: map (named other) (concatMap (lib.addressesOn site other) (networksIn site dc "service"))
        ) (serviceHosts role);
      # A firewall sees the addresses that a router has translated to.
      behindFirewall =
        role:
        if role == "relay" then
          map (named "relays") (lib.outbound.sendersIn site dc)
        else
          concatMap (network: map (named network) site.networks.${network}.prefixes) (
            networksIn site dc "public"
          );

      # VPN entrances behind this firewall, and the addresses at which they are reached.
      entrances = base.optionals isFirewall (
        concatMap (
          other:
          concatMap (
            network:
            let
              mesh = site.networks.${network};
              addresses = concatMap (lib.addressesOn site other) (
                filter (under: site.networks.${under}.kind == "public") mesh.over
              );
            in
            base.optional (hasAdministrators site network && isMesh site network && addresses != [ ]) {
              name = "${network} at ${other}";
              inherit addresses;
              udp = base.optional (lib.hasRole site other "knock") site.knock.port ++ [ mesh.port ];
            }
          ) (lib.networksOf site other)
        ) (filter (other: other != host) (lib.hostsWithIn site dc "vpn"))
      );
    in
    {
      inherit
        zones
        outside
        inside
        entrances
        ;
      forwarding = isFirewall || isRouter || isEntrance;
      translated = isRouter;
      published = base.optionals (isFirewall || isRouter) (
        concatMap (
          name:
          let
            entry = site.publish.${name};
          in
          base.optional (entry.at ? ${dc}) {
            inherit name;
            inherit (entry)
              role
              names
              tcp
              udp
              from
              ;
            addresses = entry.at.${dc}.public;
          }
        ) (attrNames site.publish)
      );
      egress = base.optionals (isFirewall || isRouter) (
        map (rule: {
          inherit (rule) name tcp udp;
          from = disjoint (
            base.optionals isRouter (behindRouter rule.role)
            ++ base.optionals isFirewall (behindFirewall rule.role)
          );
        }) egressRules
      );
      administrators = concatLists (
        base.optionals (zones.administrators != [ ]) (
          base.mapAttrsToList (
            person: said:
            map (named person) (
              concatMap (network: said.addresses.${network} or [ ]) (lib.networksOf site host)
            )
          ) site.administrators
        )
      );
      bogons = filter (
        range:
        !(builtins.any (prefix: lib.family range == lib.family prefix && within range prefix) ownPrefixes)
      ) bogons;
    };
}
