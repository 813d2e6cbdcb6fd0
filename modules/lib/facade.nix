# The façade from the site (E4): Linux Virtual Servers that keepalived watches, and the addresses that the servers behind them hold.
#
# A façade address is spread by the active balancer over the hosts with the entry's role. By direct routing (`DR`) the servers hold the
# address too, on an interface that answers no neighbour, and answer clients through their own gateway: the balancer carries only
# what clients send.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    elem
    elemAt
    filter
    length
    map
    ;
  inherit (lib) base;

  indent = map (line: if line == "" then "" else "  ${line}");
  block = title: lines: [ "${title} {" ] ++ indent lines ++ [ "}" ];

  # How a server's port is tried: the mail exchanger by SMTP itself, other TCP ports by connecting, DNS by a question.
  checkFor =
    protocol: port:
    if protocol == "udp" then
      (if port == 53 then "dns" else "udp")
    else if port == 25 then
      "smtp"
    else
      "tcp";
  # Ports where the server speaks first, and in clear: by which protocol.
  greetings = {
    "25" = "smtp";
    "110" = "pop";
    "143" = "imap";
  };

  # The network of a façade address; null if it lies in none of the site's service networks of that data centre.
  networkOf =
    site: dc: address:
    base.findFirst (
      network:
      let
        n = site.networks.${network};
      in
      n.kind == "service"
      && n.datacenter == dc
      && n.over == [ ]
      && lib.prefixOfAddress site network address != null
    ) null (attrNames site.networks);

  entriesIn =
    site: dc:
    filter (name: (site.publish.${name}.at.${dc} or { facade = [ ]; }).facade != [ ]) (
      attrNames site.publish
    );

  virtualServersOf =
    site: dc: name:
    let
      entry = site.publish.${name};
      server =
        protocol: port: address:
        let
          family = lib.family address;
          network = networkOf site dc address;
          hosts = filter (host: network != null && lib.address site host network family != null) (
            lib.hostsWithIn site dc entry.role
          );
        in
        {
          name = "${name}-${protocol}-${toString port}-${address}";
          value = {
            inherit address port protocol;
            inherit (entry) scheduler;
            method = "DR";
            check = checkFor protocol port;
            greeting = if protocol == "tcp" then greetings.${toString port} or null else null;
            comment = "${name}, by ${entry.role}";
            realServers = builtins.listToAttrs (
              map (host: {
                name = host;
                value = {
                  address = lib.address site host network family;
                  weight = if site.hosts.${host}.drain then 0 else site.hosts.${host}.weight;
                };
              }) hosts
            );
          };
        };
    in
    concatMap (
      address:
      map (port: server "tcp" port address) entry.tcp ++ map (port: server "udp" port address) entry.udp
    ) entry.at.${dc}.facade;

  # ---- text ----

  timing = check: [
    "connect_timeout ${toString check.timeout}"
    "retry ${toString check.retries}"
    "delay_before_retry 1"
  ];
  checkers = {
    smtp = check: block "SMTP_CHECK" (timing check ++ [ "helo_name ${check.helo}" ]);
    tcp = check: block "TCP_CHECK" (timing check);
    udp = check: block "UDP_CHECK" (timing check);
    dns =
      check:
      block "DNS_CHECK" (
        timing check
        ++ [
          "type SOA"
          "name ${check.zone}"
        ]
      );
    none = _: [ ];
  };

  # The program that says a server's share at this moment (MISC_CHECK with misc_dynamic).
  shareCheck =
    typed: server: host: real:
    block "MISC_CHECK" [
      "misc_path \"${typed.shareProgram} ${host} ${real.address} ${toString server.port} ${toString real.weight} ${
        if server.protocol == "udp" then
          "udp"
        else if server.greeting == null then
          "tcp"
        else
          server.greeting
      }\""
      "misc_timeout ${toString (typed.check.timeout + 2)}"
      "retry ${toString typed.check.retries}"
      "delay_before_retry 1"
      "misc_dynamic"
      "user ${typed.user}"
    ];

  realServer =
    typed: server: host: real:
    [ "# ${host}" ]
    ++ block "real_server ${real.address} ${toString server.port}" (
      [
        "weight ${toString real.weight}"
        # A server that fails gets no new connections; those that it has may outlive a passing fault.
        "inhibit_on_failure"
      ]
      ++ checkers.${server.check} typed.check
      ++ shareCheck typed server host real
    );

  virtualServer =
    typed: server:
    [ "# ${server.comment}" ]
    ++ block "virtual_server ${server.address} ${toString server.port}" (
      [
        "delay_loop ${toString typed.check.interval}"
        "lb_algo ${server.scheduler}"
        "lb_kind ${server.method}"
        "protocol ${if server.protocol == "udp" then "UDP" else "TCP"}"
      ]
      ++ base.optional (server.persistence != null) "persistence_timeout ${toString server.persistence}"
      ++ base.optional (
        server.sorryServer != null
      ) "sorry_server ${server.sorryServer.address} ${toString server.sorryServer.port}"
      ++ concatMap (host: realServer typed server host server.realServers.${host}) (
        attrNames server.realServers
      )
    );
in
{
  inherit networkOf;

  fromSite =
    site: host:
    let
      dc = lib.datacenterOf site host;
    in
    {
      virtualServers = builtins.listToAttrs (concatMap (virtualServersOf site dc) (entriesIn site dc));
      # Addresses in the site file that no service network of the data centre has.
      lost = filter (address: networkOf site dc address == null) (
        concatMap (name: site.publish.${name}.at.${dc}.facade) (entriesIn site dc)
      );
      zone = base.findFirst (_: true) null (attrNames site.domains);
      helo = lib.fqdn site host;
    };

  # The façade addresses of the roles that a host has: what it must take for its own.
  heldBy =
    site: host:
    base.optionals (!(lib.hasRole site host "facade")) (
      base.unique (concatMap (entry: entry.here.facade) (lib.publishedFor site host))
    );

  # The VRRP instances of a balancer: one for the first façade address of every entry, one for the second, and so on, each with another
  # balancer in front, so that several addresses keep several balancers busy.
  instances =
    site: host:
    let
      dc = lib.datacenterOf site host;
      entries = entriesIn site dc;
      several = nth 4 1 ++ nth 6 1 != [ ];
      nth =
        family: i:
        base.unique (
          concatMap (
            name:
            let
              own = lib.ofFamily family site.publish.${name}.at.${dc}.facade;
            in
            base.optional (i < length own && networkOf site dc (elemAt own i) != null) (elemAt own i)
          ) entries
        );
      at =
        network: i:
        let
          addresses = filter (address: networkOf site dc address == network) (nth 4 i ++ nth 6 i);
        in
        base.optional (addresses != [ ]) {
          name = "facade-${network}-${toString (i + 1)}";
          value = lib.vrrp.instance site host {
            inherit network addresses;
            id = lib.vrid "facade" + i;
            members = filter (other: elem network (lib.networksOf site other)) (
              lib.hostsWithIn site dc "facade"
            );
            first = i;
            group = "facade-${toString (i + 1)}";
            # With several addresses each goes back to its own balancer; with one it stays where it is.
            preempt = several;
          };
        };
      networks = filter (network: site.networks.${network}.kind == "service") (lib.networksOf site host);
    in
    builtins.listToAttrs (concatMap (network: concatMap (at network) (base.range 0 9)) networks);

  # keepalived's text for all virtual servers.
  render =
    typed:
    builtins.concatStringsSep "\n" (
      [ "# From the site file; a change there changes this file.\n" ]
      ++ map (name: base.lines (virtualServer typed typed.virtualServers.${name})) (
        attrNames typed.virtualServers
      )
    );
}
