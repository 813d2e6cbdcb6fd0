# nftables' text of what passes through a firewall, a router or a VPN entrance, from `fromSite` of `firewall-zones.nix`.
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
  nft = import ./nft.nix { inherit lib; };
  inherit (nft)
    accept
    addressSets
    braces
    chain
    comment
    daddr
    deviceSet
    errors
    of
    ports
    saddr
    ;

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
        family: "iifname @${head forward.outside} ${saddr family} @bogons_v${toString family} jump refused"
      ) sets
    );

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
              "iifname @administrators oifname @management ${saddr family} @people_v${toString family} log prefix \"chasqui-admin: \" level info accept"
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
        ++ map (family: "${saddr family} @people_v${toString family} oifname @management masquerade") (
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
in
{
  inherit bogonRules forwardBlocks;
}
