# Public DNS of a site (E1), first typed, then as text.
#
# One host signs, the others copy. The first host of the role `dns` is the primary: it holds the DNSSEC keys in its state, signs each
# zone once for each view, all views with the same keys, and the others take the signed zones from it over TLS, each view by
# a TSIG key of its own. Were each server to sign by itself, keys would have to travel between them at every roll-over. While
# the primary is away the others answer for a fortnight and more (signatures are never older than half of their thirty days).
{ lib }:
let
  zone = import ./dns-zone.nix { inherit lib; };
  text = import ./dns-text.nix { inherit lib; };
  inherit (builtins) head map tail;

  # A server as another one reaches it.
  server = site: from: host: {
    name = lib.fqdn site host;
    address = lib.addressToward site from host;
  };
in
{
  inherit (zone)
    everybody
    foreignNames
    nameServers
    sparseNames
    zonesOf
    ;
  inherit (text) namedConf zoneText;

  # What `chasqui.dns` of a host takes from the site.
  fromSite =
    site: host:
    let
      servers = lib.hostsWith site "dns";
      isPrimary = servers != [ ] && head servers == host;
    in
    {
      primary = if isPrimary || servers == [ ] then null else server site host (head servers);
      secondaries = if isPrimary then map (server site host) (tail servers) else [ ];
      transferAddresses = lib.optionals isPrimary (
        lib.unique (map (other: lib.addressToward site other host) (tail servers))
      );
      inherit (site.dns) dnssec;
      views = map (view: { inherit (view) name clients; }) (zone.viewsOf site);
      zones = zone.zonesOf site;
    };

  viewNames = site: map (view: view.name) (zone.viewsOf site);

  # The addresses of a name, everywhere.
  nameAddresses = site: zone.nameAddresses site (builtins.attrNames site.datacenters);

  # Regions whose clients overlap: which one a client in both gets would hang on their names. Pairs of names.
  overlappingRegions =
    site:
    let
      names = builtins.attrNames site.dns.regions;
      first = prefix: head (lib.splitOn "/" prefix);
      overlap =
        a: b:
        builtins.any (
          p:
          builtins.any (q: lib.contains p (first q) || lib.contains q (first p)) site.dns.regions.${b}.clients
        ) site.dns.regions.${a}.clients;
    in
    builtins.concatMap (
      a:
      map (b: [
        a
        b
      ]) (builtins.filter (b: a < b && overlap a b) names)
    ) names;
}
