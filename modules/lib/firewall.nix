# Packet filters from the site (E2): who may open which port of a host. `firewall-zones.nix` says what may pass through one.
#
# Everything is typed values here; `firewall-text.nix` makes nftables' text from them.
{ lib }:
let
  inherit (builtins)
    attrNames
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

  # Where another host comes from: its addresses in the networks that both are in, or else the one that the site knows it by.
  hostElements =
    site: host: other:
    let
      common = filter (network: elem network (lib.networksOf site other)) (lib.networksOf site host);
      near = concatMap (lib.addressesOn site other) common;
    in
    map (named other) (if near == [ ] then lib.serviceAddresses site other else near);
  inherit (import ./nft.nix { inherit lib; }) identifier;

  # The sources that an opening names, each `{ set, comment, elements }`, or `{ any = true; }`.
  sourceOf =
    site: host: name: from:
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
            concatMap (hostElements site host) (filter (other: other != host) (lib.hostsWith site value))
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
                  elements = map (named "") entry.from ++ concatMap (hostElements site host) balancers;
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
        sources = map (sourceOf site host name) plain;
      in
      base.optionals (elem "published" opening.from) (publishedRules site host name opening)
      ++ base.optional (plain != [ ]) {
        inherit name;
        inherit (opening) tcp udp protocols;
        sources = filter (source: source ? any) sources ++ merged sources;
      }
    ) (attrNames openings);
in
{
  inherit disjoint openingRules within;
}
