# Pieces of nftables' text that the packet filter and the router share: chains, sets, matches, and rules that accept.
{ lib }:
let
  inherit (builtins)
    concatMap
    concatStringsSep
    filter
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
        "set ${set}_v${toString family} {"
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
          map (family: "${saddr family} @${source.set}_v${toString family} ") (
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

  errors = [
    "# Errors that somebody waits for (RFC 4890 §4.3.1, §4.4.1)."
    "icmp type { destination-unreachable, time-exceeded, parameter-problem } accept"
    "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept"
  ];
in
{
  inherit
    accept
    addressSet
    addressSets
    blocks
    braces
    chain
    comment
    daddr
    deviceSet
    errors
    indent
    of
    ports
    quoted
    saddr
    ;

  # A name that nftables takes.
  identifier = builtins.replaceStrings [ "-" "." ":" "/" ] [ "_" "_" "_" "_" ];
}
