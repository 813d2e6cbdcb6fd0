# nftables' text from the typed values of `firewall.nix`: the content of one table of the family `inet`.
{ lib }:
let
  inherit (builtins)
    concatMap
    filter
    head
    map
    ;
  inherit (lib) base;
  nft = import ./nft.nix { inherit lib; };
  forward = import ./firewall-forward.nix { inherit lib; };
  inherit (nft)
    accept
    addressSets
    blocks
    braces
    chain
    daddr
    errors
    ;

  neighbours = [
    "# What IPv6 cannot be without, from the same wire only (RFC 4890 §4.4.1, §4.4.3)."
    "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } ip6 hoplimit 255 accept"
    "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report } ip6 hoplimit 1 accept"
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
      ++ base.optionals (typed.forward != null) (forward.bogonRules typed.forward)
      ++ base.optionals (typed.untracked != [ ]) (
        [ "# The balancer sees one half of each of these connections; the servers track them." ]
        ++ untracked 4
        ++ untracked 6
      )
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
      through = if typed.forward == null then null else forward.forwardBlocks typed.forward;
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
