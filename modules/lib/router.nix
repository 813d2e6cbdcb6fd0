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
    filter
    map
    ;
  inherit (lib) base;

  ofFamily = lib.ofFamily;

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
      mail = lib.outbound.translations site dc;
      inside = {
        devices = devices "service";
        prefixes = concatMap (network: site.networks.${network}.prefixes) (networksIn site dc "service");
      };
    };

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
        ++ base.optional (site.datacenters.${dc}.egress != null) site.datacenters.${dc}.egress
        ++ lib.outbound.addresses site dc;
      public = base.optionals (elem "router" roles && outer != null) (
        held "public" (lib.vrid "public") "router" outer (base.unique published)
      );
    in
    builtins.listToAttrs (gateways ++ uplinks ++ public);
}
