# What the roles of the `chasqui` binary are told by the site: settings of their configuration files (S3–S9).
{
  base,
  model,
  address,
  outbound,
}:
let
  inherit (builtins)
    concatMap
    elem
    head
    length
    map
    ;
  directoryPort = 1701;
  at = host: port: "${if address.isIPv6 host then "[${host}]" else host}:${toString port}";
  here = site: host: at (model.serviceAddress site host);
  named =
    site: host: port:
    "${model.fqdn site host}:${toString port}";

  # Directory servers as a host asks them: those of its own data centre first. The data centre's hosts begin with each in turn, so that
  # password checks, which cost most, are shared: with one first server for all, the simulation of the pilot has it at 181 % after a
  # chassis is lost, and its neighbour idle.
  directoryHosts =
    site: host:
    let
      dc = model.datacenterOf site host;
      own = model.hostsWithIn site dc "directory";
      n = length own;
      at = base.indexOf host (model.hostsIn site dc);
      turn = if n == 0 then 0 else at - at / n * n;
      turned = base.imap0 (
        i: _: builtins.elemAt own (if i + turn < n then i + turn else i + turn - n)
      ) own;
    in
    # The binary takes eight.
    base.take 8 (
      turned ++ builtins.filter (other: !(elem other own)) (model.hostsWith site "directory")
    );

  directory = site: host: {
    keys = model.secret site host "directory_keys";
    servers = map (other: named site other directoryPort) (directoryHosts site host);
  };
  tls = site: host: {
    ca = model.secret site host "ca";
    certificate = model.secret site host "certificate";
    key = model.secret site host "key";
  };
  publicTls = site: host: {
    certificate = model.secret site host "public_certificate";
    key = model.secret site host "public_key";
  };

  # The relays' inside ports as another host reaches them, those of its data centre first.
  relays =
    site: host:
    map (other: named site other 1587) (
      model.peers site host "relay"
      ++ builtins.filter (other: model.datacenterOf site other != model.datacenterOf site host) (
        model.hostsWith site "relay"
      )
    );

  published =
    site: host: role:
    builtins.filter (entry: entry.role == role) (model.publishedFor site host);
  publishedPorts =
    site: host: role:
    concatMap (entry: entry.tcp) (published site host role);
  # The host's own validating resolver (modules/platform/resolver.nix).
  dns.servers = [ "127.0.0.1:5335" ];
  # All addresses of the host, the balancers' among them, which come and go with their pair. The host's firewall says who may come.
  everywhere = port: "[::]:${toString port}";
in
{
  inherit directoryHosts;

  directory = site: host: {
    listen = here site host directoryPort;
    keys = model.secret site host "directory_keys";
    tls = tls site host;
  };

  mx =
    site: host:
    let
      names = concatMap (entry: entry.names) (published site host "mx");
    in
    {
      # Exchangers greet by the name that the zone gives them; one that is not published by its own.
      hostname = if names == [ ] then model.fqdn site host else head names;
      listen = map everywhere (
        if published site host "mx" == [ ] then [ 25 ] else publishedPorts site host "mx"
      );
      inherit dns;
      relay = relays site host;
      # The site's own hosts, alerts among them, need no DNS to be believed.
      filter.connection.trusted_networks = [
        "127.0.0.0/8"
        "::1/128"
      ]
      ++ base.unique (
        concatMap
          (kind: concatMap (network: site.networks.${network}.prefixes) (model.networksOfKind site kind))
          [
            "service"
            "management"
          ]
      );
      directory = directory site host;
      tls = tls site host;
      public_tls = publicTls site host;
    };

  relay =
    site: host:
    let
      ports = publishedPorts site host "relay";
      offered = port: base.optional (elem port ports || length ports == 0) (everywhere port);
      dc = model.datacenterOf site host;
      own = builtins.filter (text: elem text (outbound.addresses site dc)) (model.allAddresses site host);
      ofFamily = family: model.ofFamily family own;
    in
    {
      # Other sites look the name up, and in reverse the address that mail comes from.
      hostname = outbound.name site host;
      submission = offered 587;
      submissions = offered 465;
      inside = [ (here site host 1587) ];
      # To whom it hands its queue when it is drained.
      queue.peers = relays site host;
      signing.keys = model.secret site host "dkim";
      delivery = {
        own_names = base.unique (
          concatMap (entry: base.optionals (entry.role == "mx") entry.names) (
            builtins.attrValues site.publish
          )
        );
      }
      # Behind routers these translate; elsewhere the host chooses among its own.
      // base.optionalAttrs (own != [ ]) {
        pools = [
          {
            name = "site";
            senders = [ "*" ];
            v4 = ofFamily 4;
            v6 = ofFamily 6;
          }
        ];
      };
      inherit dns;
      directory = directory site host;
      tls = tls site host;
      public_tls = publicTls site host;
    };

  storage =
    site: host:
    let
      mail = site.hosts.${host}.volumes.mail or null;
    in
    {
      name = host;
      lmtp = here site host 1024;
      imap = here site host 1143;
      pop3 = here site host 1110;
      directory = directory site host;
      store.host = host;
      tls = tls site host;
    }
    // base.optionalAttrs (mail != null && mail.mount != null) {
      store = {
        inherit host;
        root = mail.mount;
      };
    };

  proxy =
    site: host:
    let
      ports = publishedPorts site host "proxy";
      offered = port: base.optional (elem port ports || length ports == 0) (everywhere port);
    in
    {
      imap = offered 143;
      imaps = offered 993;
      pop3 = offered 110;
      pop3s = offered 995;
      directory = directory site host;
      tls = tls site host;
      public_tls = publicTls site host;
    };
}
