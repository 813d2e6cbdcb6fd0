# nftables' text of address translation, from `fromSite` of `router.nix`, and the list that `chasqui-router-drain` works from.
{ lib }:
let
  inherit (builtins)
    concatMap
    elemAt
    filter
    genList
    length
    map
    ;
  inherit (lib) base ofFamily;
  inherit (import ./nft.nix { inherit lib; })
    blocks
    braces
    identifier
    indent
    ;

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
in
{
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
      # A relay's mail has an address of its own, so that nothing else of the site can spoil its name.
      mailRules = map (
        entry:
        let
          w = words (lib.family entry.to);
          devices = braces (map (device: "\"${device}\"") typed.inside.devices);
        in
        base.optional (typed.inside.devices != [ ])
          "${w.header} saddr ${braces entry.from} tcp dport 25 oifname != ${devices} snat ${w.header} to ${entry.to} comment \"${entry.host}\""
      ) typed.mail;
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
          ++ base.optionals (typed.mail != [ ]) (
            [ "# Relays' mail goes out with addresses of its own." ] ++ base.flatten mailRules
          )
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
}
