# Packet filters from the site (E2): who may open which port of a host, and what may pass through firewalls, routers and VPN entrances.
#
# Everything is typed values here; `firewall-text.nix` makes nftables' text from them.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    elem
    filter
    head
    map
    match
    ;
  inherit (lib) base;

  named = comment: address: { inherit address comment; };

  # Whether every address of a prefix lies in another.
  within =
    outer: inner:
    lib.prefixLength outer <= lib.prefixLength inner
    && lib.contains outer (head (base.splitOn "/" inner));
  # An interval set takes nothing twice.
  disjoint =
    elements:
    let
      once = base.unique elements;
      prefixes = filter (element: match ".*/.*" element.address != null) once;
    in
    filter (
      element:
      !(builtins.any (
        other: other.address != element.address && within other.address element.address
      ) prefixes)
    ) once;

  hostElements = site: host: map (named host) (lib.serviceAddresses site host);
  identifier = text: builtins.replaceStrings [ "-" "." ":" "/" ] [ "_" "_" "_" "_" ] text;

  # The sources that an opening names, each `{ set, comment, elements }`, or `{ any = true; }`.
  sourceOf =
    site: name: from:
    let
      parts = match "(role|network|kind):(.*)" from;
      kind = head parts;
      value = builtins.elemAt parts 1;
      needsSite =
        result:
        if site == null then
          throw "chasqui.openings.${name}.from: `${from}' needs a site file; set chasqui.site.file, or name addresses"
        else
          result;
      prefixes = network: map (named network) site.networks.${network}.prefixes;
    in
    if from == "any" then
      { any = true; }
    else if from == "knocked" then
      {
        set = "knocked";
        comment = "who has just knocked";
      }
    else if parts == null then
      {
        set = "for_${identifier name}";
        comment = "for ${name}";
        elements = [ (named "" from) ];
      }
    else
      needsSite {
        set = identifier "${kind}_${value}";
        comment = from;
        elements =
          if kind == "role" then
            concatMap (hostElements site) (lib.hostsWith site value)
          else if kind == "network" then
            prefixes value
          else
            concatMap prefixes (lib.networksOfKind site value);
      };

  # An opening to `published` becomes one for each entry of `publish` that the host serves, of the ports that both name.
  publishedRules =
    site: host: name: opening:
    if site == null then
      [
        {
          inherit name;
          inherit (opening) tcp udp protocols;
          sources = [ { any = true; } ];
        }
      ]
    else
      concatMap (
        entry:
        let
          tcp = filter (port: elem port entry.tcp) opening.tcp;
          udp = filter (port: elem port entry.udp) opening.udp;
          balancers = base.optionals (entry.here.facade != [ ]) (
            lib.hostsWithIn site (lib.datacenterOf site host) "facade"
          );
        in
        base.optional (tcp ++ udp != [ ]) {
          name = "${name}, published as ${entry.name}";
          inherit tcp udp;
          protocols = [ ];
          sources =
            if entry.from == [ ] then
              [ { any = true; } ]
            else
              [
                {
                  set = identifier "published_${entry.name}";
                  comment = "to whom ${entry.name} is published, and the balancers that check it";
                  elements = map (named "") entry.from ++ concatMap (hostElements site) balancers;
                }
              ];
        }
      ) (lib.publishedFor site host);

  merged =
    sources:
    map (
      set:
      let
        same = filter (source: source.set or null == set) sources;
      in
      (head same)
      // base.optionalAttrs (head same ? elements) {
        elements = disjoint (concatMap (source: source.elements) same);
      }
    ) (base.unique (map (source: source.set) (filter (source: source ? set) sources)));

  openingRules =
    site: host: openings:
    concatMap (
      name:
      let
        opening = openings.${name};
        plain = filter (from: from != "published") opening.from;
        sources = map (sourceOf site name) plain;
      in
      base.optionals (elem "published" opening.from) (publishedRules site host name opening)
      ++ base.optional (plain != [ ]) {
        inherit name;
        inherit (opening) tcp udp protocols;
        sources = filter (source: source ? any) sources ++ merged sources;
      }
    ) (attrNames openings);

  # ---- what passes through ----

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
      role = "mx";
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
  inherit
    disjoint
    openingRules
    zoneOf
    within
    ;

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
      behindFirewall = concatMap (network: map (named network) site.networks.${network}.prefixes) (
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
            base.optionals isRouter (behindRouter rule.role) ++ base.optionals isFirewall behindFirewall
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
