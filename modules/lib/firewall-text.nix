# nftables' text from the typed values of `firewall.nix`: the content of one table of the family `inet`.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    filter
    head
    map
    ;
  inherit (lib) base;

  indent = map (line: if line == "" then "" else "  ${line}");
  chain = name: lines: [ "chain ${name} {" ] ++ indent lines ++ [ "}" ];
  blocks = texts: concatStringsSep "\n" (map base.lines (filter (lines: lines != [ ]) texts));
  braces = items: "{ ${concatStringsSep ", " items} }";
  quoted = text: "\"${text}\"";
  of = family: filter (element: lib.family element.address == family);
  saddr = family: if family == 6 then "ip6 saddr" else "ip saddr";
  daddr = family: if family == 6 then "ip6 daddr" else "ip daddr";
  # nftables takes comments of at most 128 octets.
  comment =
    text:
    "comment ${quoted (builtins.substring 0 127 (builtins.replaceStrings [ "\"" ] [ "'" ] text))}";

  # A set of addresses of one family, nothing if it has none.
  addressSet =
    family:
    {
      set,
      comment,
      elements,
    }:
    let
      own = of family elements;
    in
    base.optionals (own != [ ]) (
      [
        "# ${comment}"
        "set ${set}${toString family} {"
        "  type ${if family == 6 then "ipv6_addr" else "ipv4_addr"}"
        "  flags interval"
        "  elements = {"
      ]
      ++ map (
        element:
        "    ${element.address},${base.optionalString (element.comment != "") " # ${element.comment}"}"
      ) own
      ++ [
        "  }"
        "}"
      ]
    );
  addressSets =
    sources:
    concatMap (source: [
      (addressSet 4 source)
      (addressSet 6 source)
    ]) sources;
  deviceSet =
    name: devices:
    [
      "set ${name} {"
      "  type ifname"
    ]
    ++ base.optional (devices != [ ]) "  elements = ${braces (map quoted devices)}"
    ++ [ "}" ];

  # One match for each protocol that a rule names.
  ports =
    rule:
    base.optional (rule.tcp != [ ]) "tcp dport ${braces (map toString rule.tcp)}"
    ++ base.optional (rule.udp != [ ]) "udp dport ${braces (map toString rule.udp)}"
    ++ base.optional (rule.protocols or [ ] != [ ]) "meta l4proto ${braces rule.protocols}";

  # A rule for each source, family and protocol.
  accept =
    rule:
    let
      matches =
        source:
        if source ? any then
          [ "" ]
        else if source.set == "knocked" then
          [ "ip saddr @knocked " ]
        else
          map (family: "${saddr family} @${source.set}${toString family} ") (
            filter (family: of family source.elements != [ ]) [
              4
              6
            ]
          );
    in
    concatMap (
      source:
      concatMap (match: map (port: "${match}${port} accept ${comment rule.name}") (ports rule)) (
        matches source
      )
    ) rule.sources;

  neighbours = [
    "# What IPv6 cannot be without, from the same wire only (RFC 4890 §4.4.1, §4.4.3)."
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept"
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 hoplimit 1 accept"
  ];
  errors = [
    "# Errors that somebody waits for (RFC 4890 §4.3.1, §4.4.1)."
    "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept"
  ];

  # Before connections are tracked.
  early =
    typed:
    let
      untracked =
        family:
        let
          own = filter (address: lib.family address == family) typed.untracked;
        in
        base.optional (own != [ ]) "${daddr family} ${braces own} notrack";
    in
    chain "early" (
      [ "type filter hook prerouting priority raw; policy accept;" ]
      ++ base.optionals typed.antiSpoof [
        "# Addresses that have no way back through the interface they come from (RFC 3704). A host that is about to have"
        "# an IPv6 address has none yet."
        "ip6 saddr :: icmpv6 type { nd-neighbor-solicit, mld2-listener-report } accept"
        "iifname != \"lo\" fib saddr . iif oif missing jump refused"
      ]
      ++ base.optionals (typed.forward != null) (bogonRules typed.forward)
      ++ base.optionals (typed.untracked != [ ]) (
        [ "# The balancer sees one half of each of these connections; the servers track them." ]
        ++ untracked 4
        ++ untracked 6
      )
    );
  bogonRules =
    forward:
    let
      sets = filter (family: builtins.any (range: lib.family range == family) forward.bogons) [
        4
        6
      ];
    in
    base.optionals (forward.outside != [ ] && sets != [ ]) (
      [ "# The internet has no such addresses (RFC 6890)." ]
      ++ map (
        family: "iifname @${head forward.outside} ${saddr family} @bogons${toString family} jump refused"
      ) sets
    );

  input =
    typed:
    chain "input" (
      [
        "type filter hook input priority filter; policy drop;"
        "ct state vmap { established : accept, related : accept, invalid : drop }"
        "iifname \"lo\" accept"
        ""
      ]
      ++ neighbours
      ++ errors
      ++ [
        "icmp type echo-request limit rate 20/second accept"
        "icmpv6 type echo-request limit rate 20/second accept"
        ""
      ]
      ++ concatMap accept typed.openings
      ++ base.optional (typed.openings != [ ]) ""
      ++ [ "jump refused" ]
    );

  # ---- what passes through ----

  publishedRules =
    entry:
    let
      rule =
        family:
        let
          own = filter (address: lib.family address == family) entry.addresses;
          from = filter (address: lib.family address == family) entry.from;
          source = base.optionalString (entry.from != [ ]) "${saddr family} ${braces from} ";
          original = if family == 6 then "ct original ip6 daddr" else "ct original ip daddr";
        in
        base.optionals (own != [ ] && (entry.from == [ ] || from != [ ])) (
          map (port: "${source}${original} ${braces own} ${port} accept ${comment entry.name}") (ports entry)
        );
    in
    [ "# ${entry.name}, by ${entry.role}: ${concatStringsSep ", " entry.names}" ] ++ rule 4 ++ rule 6;

  entranceRules =
    entrance:
    [ "# ${entrance.name}" ]
    ++ map (
      address:
      "${daddr (lib.family address)} ${address} udp dport ${braces (map toString entrance.udp)} accept ${comment entrance.name}"
    ) entrance.addresses;

  # Rules for the same hosts share a set, which has the first one's name.
  egressSource =
    rules: rule:
    let
      alike = filter (other: other.from == rule.from) rules;
    in
    {
      set = "egress_${builtins.replaceStrings [ "-" ] [ "_" ] (head alike).name}";
      comment = "may reach the internet: ${concatStringsSep ", " (map (other: other.name) alike)}";
      elements = rule.from;
    };

  forwardChain =
    forward:
    let
      hasOutside = forward.outside != [ ];
      outside = "@${head forward.outside}";
      toOutside = concatStringsSep " " (
        if hasOutside then
          [
            "oifname"
            outside
          ]
        else
          [ ]
      );
    in
    chain "forward" (
      [
        "type filter hook forward priority filter; policy drop;"
        "ct state vmap { established : accept, related : accept, invalid : drop }"
        ""
        "# iSCSI stays where it is (E12), and so do meshes: nothing passes between them and anything else."
        "iifname @storage jump refused"
        "oifname @storage jump refused"
        "iifname @mesh jump refused"
        "oifname @mesh jump refused"
        ""
      ]
      ++ errors
      ++ base.optionals (forward.administrators != [ ]) (
        [
          ""
          "# Management is reached by administrators who came in through the VPN, and by nobody else (E2). Who did is on record."
        ]
        ++
          concatMap
            (family: [
              "iifname @administrators oifname @management ${saddr family} @people${toString family} log prefix \"chasqui-admin: \" level info accept"
            ])
            (
              filter (family: of family forward.administrators != [ ]) [
                4
                6
              ]
            )
      )
      ++ [
        "iifname @management jump refused"
        "oifname @management jump refused"
      ]
      ++ base.optionals hasOutside (
        [
          ""
          "# What the site publishes, for those outside and, by the same addresses, for its own hosts."
          "iifname ${outside} jump published"
        ]
        ++ map (zone: "iifname @${zone} jump published") forward.inside
        ++ base.optionals (forward.entrances != [ ]) [ "iifname ${outside} jump entrances" ]
        ++ [
          ""
          "# What the site's own hosts need of the internet."
        ]
        ++ map (zone: "iifname @${zone} ${toOutside} jump egress") forward.inside
      )
      ++ base.optionals (builtins.elem "service" forward.inside) [
        ""
        "# Between service networks each host decides by itself."
        "iifname @service oifname @service ct status ! dnat accept"
      ]
      ++ [
        ""
        "jump refused"
      ]
    );

  masquerade =
    forward:
    base.optionals (forward.administrators != [ ]) (
      chain "administration" (
        [
          "type nat hook postrouting priority srcnat; policy accept;"
          "# Hosts answer administrators by the entrance that these came through."
        ]
        ++ map (family: "${saddr family} @people${toString family} oifname @management masquerade") (
          filter (family: of family forward.administrators != [ ]) [
            4
            6
          ]
        )
      )
    );

  forwardBlocks =
    forward:
    let
      source = egressSource forward.egress;
      egressRules = concatMap (rule: accept (rule // { sources = [ (source rule) ]; })) forward.egress;
    in
    {
      sets =
        map (zone: deviceSet zone forward.zones.${zone}) (attrNames forward.zones)
        ++ addressSets [
          {
            set = "people";
            comment = "administrators, by their addresses in the VPN";
            elements = forward.administrators;
          }
          {
            set = "bogons";
            comment = "never sent from on the internet";
            elements = map (address: {
              inherit address;
              comment = "";
            }) forward.bogons;
          }
        ]
        ++ addressSets (base.unique (map source forward.egress));
      chains = [
        (base.optionals (forward.outside != [ ]) (
          chain "published" (concatMap publishedRules forward.published)
        ))
        (base.optionals (forward.entrances != [ ]) (
          chain "entrances" (concatMap entranceRules forward.entrances)
        ))
        (base.optionals (forward.outside != [ ]) (
          chain "egress" (
            egressRules
            ++ [
              "icmp type echo-request limit rate 20/second accept"
              "icmpv6 type echo-request limit rate 20/second accept"
            ]
          )
        ))
        (forwardChain forward)
        (masquerade forward)
      ];
    };

  refused =
    typed:
    chain "refused" (
      base.optional (
        typed.logRate != null
      ) "limit rate ${typed.logRate} log prefix \"chasqui-refused: \" level info"
      ++ [ "counter drop" ]
    );

  openingSets =
    openings:
    addressSets (
      map (group: head group) (
        builtins.attrValues (
          builtins.groupBy (source: source.set) (
            filter (source: source ? elements) (concatMap (rule: rule.sources) openings)
          )
        )
      )
    );
  usesKnock =
    openings:
    builtins.any (rule: builtins.any (source: source.set or "" == "knocked") rule.sources) openings;
in
{
  # `typed` is `{ openings, antiSpoof, untracked, logRate, forward }`: the rules of `openingRules`; whether sources are checked; addresses
  # whose connections are not tracked; at most how often a refusal is logged (null: never); what `fromSite` says, or null.
  render =
    typed:
    let
      through = if typed.forward == null then null else forwardBlocks typed.forward;
      knocked = base.optionals (usesKnock typed.openings) [
        "# who has just knocked; the knock daemon adds them, and they go by themselves"
        "set knocked {"
        "  type ipv4_addr"
        "  flags timeout"
        "}"
      ];
    in
    blocks (
      [ [ "# From the site file; a change there changes this file." ] ]
      ++ openingSets typed.openings
      ++ [ knocked ]
      ++ (if through == null then [ ] else through.sets)
      ++ [
        (refused typed)
        (early typed)
        (input typed)
      ]
      ++ (
        if through == null then
          [ (chain "forward" [ "type filter hook forward priority filter; policy drop;" ]) ]
        else
          through.chains
      )
    );
}
