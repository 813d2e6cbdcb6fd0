# How mail leaves a site (S1, S11): the relays' name towards other sites, and the public addresses that they come from.
{
  base,
  model,
}:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elem
    elemAt
    filter
    head
    length
    ;

  isRouted = site: dc: model.hostsWithIn site dc "router" != [ ];
  isPublic =
    site: network:
    elem site.networks.${network}.kind [
      "public"
      "uplink"
    ];

  # What the site file says for a data centre.
  addresses = site: dc: site.outbound.at.${dc} or [ ];

  # Where the relays of a data centre come from, as other sites see it.
  sendersOf =
    site: dc:
    let
      relays = model.hostsWithIn site dc "relay";
      said = addresses site dc;
      egress = site.datacenters.${dc}.egress;
      own = concatMap (
        host: concatMap (model.addressesOn site host) (filter (isPublic site) (model.networksOf site host))
      ) relays;
    in
    if relays == [ ] then
      [ ]
    else if said != [ ] then
      said
    else if !(isRouted site dc) then
      own
    else
      base.optional (egress != null) egress;
in
{
  inherit addresses;
  sendersIn = sendersOf;

  # Every address that the site's mail comes from.
  senders = site: base.unique (concatMap (sendersOf site) (attrNames site.datacenters));

  name =
    site: host:
    let
      published = concatMap (entry: base.optionals (entry.role == "relay") entry.names) (
        attrValues site.publish
      );
    in
    if site.outbound.name != null then
      site.outbound.name
    else if published != [ ] then
      head published
    else
      model.fqdn site host;

  # What routers make of the relays' mail: `{ host, from, to }`, an entry for each relay and family. Relays take the addresses in turn.
  translations =
    site: dc:
    let
      relays = model.hostsWithIn site dc "relay";
      wires = filter (
        network: site.networks.${network}.datacenter == dc && site.networks.${network}.over == [ ]
      ) (model.networksOfKind site "service");
      of =
        family:
        let
          pool = model.ofFamily family (addresses site dc);
          turn = i: elemAt pool (i - length pool * (i / length pool));
          entry =
            i: host:
            let
              from = model.ofFamily family (concatMap (model.addressesOn site host) wires);
            in
            base.optional (pool != [ ] && from != [ ]) {
              inherit host from;
              to = turn i;
            };
        in
        builtins.concatLists (base.imap0 entry relays);
    in
    of 4 ++ of 6;
}
