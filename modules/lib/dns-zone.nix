# The zones of a site as typed records (E1): what each domain's mail needs, and the address of every published name in each view.
#
# A record is `{ name, type, data, view, why }`: `name` relative to the zone (`@` is the zone itself), `data` as in a zone file but TXT
# unquoted and whole, `view` null where all views agree, `why` what a reader of the zone file should know.
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    filter
    hashString
    length
    map
    substring
    ;

  dot = name: "${name}.";
  relative = zone: name: if name == zone then "@" else lib.removeSuffix ".${zone}" name;
  under = zone: name: name == zone || lib.hasSuffix ".${zone}" name;
  record = why: name: type: data: {
    inherit
      name
      type
      data
      why
      ;
    view = null;
  };

  nameServers = site: lib.web.namesWithRoles site [ "dns" ];

  # The views, most special first: one for each region, the last for everybody else.
  everybody = "everybody";
  viewsOf =
    site:
    map (name: {
      inherit name;
      inherit (site.dns.regions.${name}) clients datacenters;
    }) (attrNames site.dns.regions)
    ++ [
      {
        name = everybody;
        clients = [ "any" ];
        datacenters = attrNames site.datacenters;
      }
    ];

  # The addresses of one publication that a view is given: those in its data centres, or all if it has none there. A name
  # server is reached everywhere: whoever asks must find one while a data centre is away.
  entryAddresses =
    datacenters: entry: position:
    let
      near = filter (dc: elem dc datacenters) (attrNames entry.at);
      chosen = if near == [ ] || entry.role == "dns" then attrNames entry.at else near;
      found = concatMap (dc: entry.at.${dc}.public) chosen;
      translated = concatMap (at: at.facade) (attrValues entry.at) != [ ];
      names = length entry.names;
      # Each server of DNS has a name of its own: the n-th address belongs to the n-th server.
      every =
        list:
        filter (x: x != null) (
          lib.imap0 (i: a: if i - names * (i / names) == position then a else null) list
        );
    in
    if entry.role == "dns" && !translated then
      every (lib.ofFamily 4 found) ++ every (lib.ofFamily 6 found)
    else
      found;

  nameAddresses =
    site: datacenters: name:
    lib.unique (
      concatMap (
        entry:
        concatLists (
          lib.imap0 (i: n: lib.optionals (n == name) (entryAddresses datacenters entry i)) entry.names
        )
      ) (attrValues site.publish)
      # Whoever looks at where mail comes from wants every address of the name, wherever they are.
      ++ lib.optionals (site.outbound.name == name) (lib.outbound.senders site)
    );

  addressRecords =
    site: zone: name:
    let
      views = viewsOf site;
      inView = view: nameAddresses site view.datacenters name;
      of = why: map (a: record why (relative zone name) (if lib.isIPv6 a then "AAAA" else "A") a);
      everywhere = inView (lib.last views);
    in
    if all (view: inView view == everywhere) views then
      of "Published names" everywhere
    else
      concatMap (view: map (r: r // { view = view.name; }) (of "Published names" (inView view))) views;

  reportsOf =
    site: domain:
    let
      own = site.domains.${domain}.reports;
    in
    if own == null then "postmaster@${domain}" else own;

  # The relays send for the site, and nobody else does but whom the site file names.
  spf =
    site: domain:
    concatStringsSep " " (
      [ "v=spf1" ]
      ++ map (a: "ip${toString (lib.family a)}:${a}") (lib.outbound.senders site)
      ++ site.domains.${domain}.spf
      ++ [ "-all" ]
    );

  services = [
    {
      service = "imaps";
      label = "imap";
      port = 993;
      priority = 0;
    }
    {
      service = "imap";
      label = "imap";
      port = 143;
      priority = 10;
    }
    {
      service = "pop3s";
      label = "pop";
      port = 995;
      priority = 20;
    }
    {
      service = "pop3";
      label = "pop";
      port = 110;
      priority = 30;
    }
    {
      service = "submissions";
      label = "smtp";
      port = 465;
      priority = 0;
    }
    {
      service = "submission";
      label = "smtp";
      port = 587;
      priority = 10;
    }
  ];

  mailRecords =
    site: domain:
    let
      d = site.domains.${domain};
      reports = reportsOf site domain;
      mx = lib.web.mxNames site;
      srv =
        s:
        let
          name = lib.web.nameFor site domain s.label s.port;
        in
        lib.optional (name != null) (
          record "Where programs find the mailbox and hand in mail (RFC 6186, RFC 8314)" "_${s.service}._tcp"
            "SRV"
            "${toString s.priority} 1 ${toString s.port} ${dot name}"
        );
    in
    lib.optionals (mx != [ ]) (
      map (name: record "Mail comes to these, each as good as the others" "@" "MX" "10 ${dot name}") mx
      ++ [
        (record "Who sends mail for the domain (RFC 7208)" "@" "TXT" (spf site domain))
        (record "What to do with mail that is not ours (RFC 7489)" "_dmarc" "TXT"
          "v=DMARC1; p=${d.dmarc}; rua=mailto:${reports}"
        )
        (record "Reports on TLS (RFC 8460)" "_smtp._tls" "TXT" "v=TLSRPTv1; rua=mailto:${reports}")
      ]
      ++ map (
        selector:
        record "Public keys of signatures (RFC 6376)" "${selector}._domainkey" "TXT" d.dkim.${selector}
      ) (attrNames d.dkim)
      # The id changes with the policy, and with nothing else.
      ++ lib.optional (lib.web.hasMtaSts site domain) (
        record "There is a policy of TLS (RFC 8461)" "_mta-sts" "TXT"
          "v=STSv1; id=${substring 0 32 (hashString "sha256" (lib.web.mtaStsPolicy site domain))}"
      )
    )
    ++ concatMap srv services
    ++ map (ca: record "Who may issue certificates (RFC 8659)" "@" "CAA" "0 issue \"${ca}\"") d.caa;

  # The exchangers are the same for all domains, and so are their certificates: each exchanger's name says all of them.
  tlsaRecords =
    site: zone:
    let
      all' = lib.unique (concatMap (d: d.tlsa) (attrValues site.domains));
    in
    concatMap (
      name:
      lib.optionals (lib.web.domainOf site name == zone) (
        map (record "The exchangers' certificates (RFC 7672)" "_25._tcp${
          lib.optionalString (name != zone) ".${relative zone name}"
        }" "TLSA") all'
      )
    ) (lib.web.mxNames site);

  # Reports about another domain come to an address in this one: it must say that it takes them (RFC 7489 §7.1).
  reportRecords =
    site: zone:
    concatMap (
      domain:
      let
        to = lib.last (lib.splitOn "@" (reportsOf site domain));
        name = relative zone to;
      in
      lib.optional (!(under domain to) && lib.web.domainOf site to == zone) (
        record "Reports of other domains are taken (RFC 7489 §7.1)" "${domain}._report._dmarc${
          lib.optionalString (name != "@") ".${name}"
        }" "TXT" "v=DMARC1"
      )
    ) (attrNames site.domains);

  # A domain inside another is delegated to the same servers, with the addresses of those whose names lie in it.
  delegations =
    site: zone:
    concatMap (
      child:
      map (server: record "A domain of its own" (relative zone child) "NS" (dot server)) (
        nameServers site
      )
      ++ concatMap (server: lib.optionals (under child server) (addressRecords site zone server)) (
        nameServers site
      )
    ) (filter (child: parentOf site child == zone) (attrNames site.domains));
  parentOf =
    site: child:
    let
      labels = lib.splitOn "." child;
      above = concatStringsSep "." (builtins.tail labels);
    in
    if length labels < 2 then null else lib.web.domainOf site above;

  zone = site: name: {
    contact = if site.dns.contact == null then "hostmaster@${name}" else site.dns.contact;
    nameServers = nameServers site;
    ttl = lib.seconds site.dns.ttl;
    records =
      mailRecords site name
      ++ concatMap (n: lib.optionals (lib.web.domainOf site n == name) (addressRecords site name n)) (
        publishedNames site ++ outboundNames site
      )
      ++ tlsaRecords site name
      ++ reportRecords site name
      ++ delegations site name;
    lines = site.dns.records.${name} or [ ];
  };
  outboundNames = site: lib.optional (site.outbound.name != null) site.outbound.name;
  publishedNames = site: lib.unique (concatMap (entry: entry.names) (attrValues site.publish));
in
{
  inherit
    everybody
    nameServers
    nameAddresses
    viewsOf
    ;
  zonesOf = site: lib.genAttrs (attrNames site.domains) (zone site);
  # Published names that lie in no domain of the site: somebody else's zone must name them.
  foreignNames =
    site: filter (name: lib.web.domainOf site name == null) (publishedNames site ++ outboundNames site);
  # Names with fewer than three addresses, or all in one network (E1). Name servers have a name for each server instead.
  sparseNames =
    site:
    let
      block =
        a:
        if lib.isIPv6 a then
          concatStringsSep ":" (lib.take 3 (lib.splitOn ":" a))
        else
          concatStringsSep "." (lib.take 3 (lib.splitOn "." a));
      few = list: length list < 3 || length (lib.unique (map block list)) < 2;
    in
    filter (
      name: !(elem name (nameServers site)) && few (nameAddresses site (attrNames site.datacenters) name)
    ) (publishedNames site);
}
