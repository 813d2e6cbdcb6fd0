# Address translation from the site (E3): public addresses to façade addresses or to hosts, hosts to the public address they go out with,
# and the addresses that a pair of routers or firewalls holds.
#
# Each published entry has targets in a fixed order. A connection's target is a hash of its client, so both routers of a pair choose the
# same one and a router that takes over translates connections that it never saw begin as its peer did. A drained target is taken out
# of the maps: its new connections go to the next one, those that exist stay, because the kernel keeps their translation.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    genList
    length
    map
    ;
  inherit (lib) base;

  identifier = text: builtins.replaceStrings [ "-" "." ":" "/" ] [ "_" "_" "_" "_" ] text;
  indent = map (line: if line == "" then "" else "  ${line}");
  braces = items: "{ ${builtins.concatStringsSep ", " items} }";
  ofFamily = lib.ofFamily;
  words =
    family:
    if family == 6 then
      {
        type = "ipv6_addr";
        header = "ip6";
      }
    else
      {
        type = "ipv4_addr";
        header = "ip";
      };

  networksIn =
    site: dc: kind:
    filter (
      network: site.networks.${network}.datacenter == dc && site.networks.${network}.over == [ ]
    ) (lib.networksOfKind site kind);
  # A host's first address in the service networks of its data centre.
  serviceAddress =
    site: host: family:
    base.findFirst (text: text != null) null (
      map (network: lib.address site host network family) (
        networksIn site (lib.datacenterOf site host) "service"
      )
    );

  # The targets of an entry, and how its public addresses are spread over them.
  translationsOf =
    site: dc: name:
    let
      entry = site.publish.${name};
      at = entry.at.${dc};
      of =
        family:
        let
          public = ofFamily family at.public;
          balanced = ofFamily family at.facade;
          servers = filter (host: serviceAddress site host family != null) (
            lib.hostsWithIn site dc entry.role
          );
          targets =
            if at.facade != [ ] then
              map (address: {
                name = address;
                inherit address;
                drain = false;
              }) balanced
            else
              map (host: {
                name = host;
                address = serviceAddress site host family;
                inherit (site.hosts.${host}) drain;
              }) servers;
        in
        base.optional (public != [ ]) {
          inherit
            name
            family
            public
            targets
            ;
          inherit (entry) tcp udp;
          # A balancer's addresses share all of the connections; without balancers each public address has its own server.
          spread = at.facade != [ ];
        };
    in
    of 4 ++ of 6;

  # ---- text ----

  chainName = entry: "${identifier entry.name}${toString entry.family}";
  mod = a: b: a - b * (a / b);

  # The maps of an entry: `{ name, type, elements = [ { key, target } ] }`.
  mapsOf =
    entry:
    let
      n = length entry.targets;
      w = words entry.family;
      at = i: elemAt entry.targets (mod i n);
    in
    if n == 0 then
      [ ]
    else if entry.spread && n > 1 then
      [
        {
          name = "${chainName entry}_targets";
          type = "typeof numgen inc mod 2 : ${w.header} daddr";
          lookup =
            k:
            "jhash ${w.header} saddr . th sport mod ${toString n} seed 0x43686173${
              base.optionalString (k > 0) " offset ${toString k}"
            }";
          turns = n;
          # Twice around, so that every turn finds the ones that follow.
          elements = genList (i: {
            key = toString i;
            target = at i;
          }) (2 * n - 1);
        }
      ]
    else
      genList (k: {
        name = "${chainName entry}_${if k == 0 then "first" else "else${toString k}"}";
        type = "type ${w.type} : ${w.type}";
        lookup = _: "${w.header} daddr";
        turns = 1;
        elements = base.imap0 (i: address: {
          key = address;
          target = at (i + k);
        }) entry.public;
      }) n;

  mapText =
    m:
    let
      active = filter (element: !element.target.drain) m.elements;
    in
    [
      "map ${m.name} {"
      "  ${m.type}"
    ]
    ++ base.optionals (active != [ ]) (
      [ "  elements = {" ]
      ++ map (
        element:
        "    ${element.key} : ${element.target.address},${
              base.optionalString (element.target.name != element.target.address) " # ${element.target.name}"
            }"
      ) active
      ++ [ "  }" ]
    )
    ++ [ "}" ];

  ports =
    entry:
    base.optional (entry.tcp != [ ]) "tcp dport ${braces (map toString entry.tcp)}"
    ++ base.optional (entry.udp != [ ]) "udp dport ${braces (map toString entry.udp)}";
  matches =
    entry:
    map (port: "${(words entry.family).header} daddr ${braces entry.public} ${port}") (ports entry);

  entryChain =
    entry:
    [ "chain ${chainName entry} {" ]
    ++ indent (
      concatMap (
        m: genList (k: "dnat ${(words entry.family).header} to ${m.lookup k} map @${m.name}") m.turns
      ) (mapsOf entry)
    )
    ++ [ "}" ];

  hook =
    name: kind: lines:
    [
      "chain ${name} {"
      "  ${kind}"
    ]
    ++ indent lines
    ++ [ "}" ];
  blocks =
    texts: builtins.concatStringsSep "\n" (map base.lines (filter (lines: lines != [ ]) texts));
in
{
  fromSite =
    site: host:
    let
      dc = lib.datacenterOf site host;
      devices =
        kind:
        filter (device: device != null) (map (lib.network.deviceOn site host) (networksIn site dc kind));
      egress = site.datacenters.${dc}.egress;
    in
    {
      translations = concatMap (translationsOf site dc) (
        filter (name: site.publish.${name}.at ? ${dc}) (attrNames site.publish)
      );
      egress = base.optional (egress != null) egress;
      inside = {
        devices = devices "service";
        prefixes = concatMap (network: site.networks.${network}.prefixes) (networksIn site dc "service");
      };
    };

  inherit mapsOf;

  # The content of a table of the family `inet`.
  render =
    typed:
    let
      served = filter (entry: entry.targets != [ ]) typed.translations;
      egressRules = map (
        address:
        let
          family = lib.family address;
          w = words family;
          prefixes = ofFamily family typed.inside.prefixes;
          devices = braces (map (device: "\"${device}\"") typed.inside.devices);
        in
        base.optional (
          prefixes != [ ] && typed.inside.devices != [ ]
        ) "${w.header} saddr ${braces prefixes} oifname != ${devices} snat ${w.header} to ${address}"
      ) typed.egress;
      hairpins =
        map
          (
            family:
            let
              w = words family;
              prefixes = ofFamily family typed.inside.prefixes;
            in
            base.optional (prefixes != [ ]) "${w.header} saddr ${braces prefixes} ct status dnat masquerade"
          )
          [
            4
            6
          ];
    in
    blocks (
      [ [ "# From the site file; a change there changes this file." ] ]
      ++ concatMap (entry: [
        ([ "# ${entry.name}" ] ++ base.flatten (map mapText (mapsOf entry)))
        (entryChain entry)
      ]) served
      ++ [
        (hook "prerouting" "type nat hook prerouting priority dstnat; policy accept;" (
          concatMap (entry: map (match: "${match} goto ${chainName entry}") (matches entry)) served
        ))
        (hook "postrouting" "type nat hook postrouting priority srcnat; policy accept;" (
          [ "# Hosts that reach the site by its public addresses hear from the router, as everybody does." ]
          ++ base.flatten hairpins
          ++ [ "# Hosts go out with the data centre's address." ]
          ++ base.flatten egressRules
        ))
        (hook "undelivered" "type filter hook input priority filter - 10; policy accept;" (
          [ "# With every target drained clients are told at once, so that they try another address." ]
          ++ concatMap (
            entry:
            map (
              match:
              "${match} reject${
                base.optionalString (builtins.match ".*tcp dport.*" match != null) " with tcp reset"
              }"
            ) (matches entry)
          ) typed.translations
        ))
      ]
    );

  # A line for each element of a map that a target has: `TARGET FAMILY MAP KEY ADDRESS DRAINED`.
  targetsText =
    typed:
    base.lines (
      base.unique (
        concatMap (
          entry:
          concatMap (
            m:
            map (
              element:
              "${element.target.name} ${toString entry.family} ${m.name} ${element.key} ${element.target.address} ${
                if element.target.drain then "on" else "off"
              }"
            ) m.elements
          ) (mapsOf entry)
        ) typed.translations
      )
    );

  # The VRRP instances of a firewall or router, by name.
  instances =
    site: host:
    let
      dc = lib.datacenterOf site host;
      roles = filter (lib.hasRole site host) [
        "firewall"
        "router"
      ];
      networks = filter (network: site.networks.${network}.over == [ ]) (lib.networksOf site host);
      held =
        what: id: role: network: addresses:
        base.optional (addresses != [ ]) {
          name = "${what}-${network}";
          value = lib.vrrp.instance site host {
            inherit network id addresses;
            members = filter (other: elem network (lib.networksOf site other)) (lib.hostsWithIn site dc role);
            group = "edge";
          };
        };
      gateways = concatMap (
        network:
        let
          n = site.networks.${network};
        in
        base.optionals (n.gateway_role != null && elem n.gateway_role roles) (
          held "gateway" (lib.vrid "gateway") n.gateway_role network n.gateway
        )
      ) networks;
      uplinks = concatMap (
        network:
        base.optionals (elem "firewall" roles) (
          held "uplink" (lib.vrid "gateway") "firewall" network site.networks.${network}.shared
        )
      ) (filter (network: site.networks.${network}.kind == "uplink") networks);
      # The published addresses lie on the public network's side; a router that is the firewall too may have the uplink only.
      outer = base.findFirst (network: site.networks.${network}.kind == "public") (base.findFirst (
        network: site.networks.${network}.kind == "uplink"
      ) null networks) networks;
      published =
        concatMap (name: (site.publish.${name}.at.${dc} or { public = [ ]; }).public) (
          attrNames site.publish
        )
        ++ base.optional (site.datacenters.${dc}.egress != null) site.datacenters.${dc}.egress;
      public = base.optionals (elem "router" roles && outer != null) (
        held "public" (lib.vrid "public") "router" outer (base.unique published)
      );
    in
    builtins.listToAttrs (gateways ++ uplinks ++ public);
}
