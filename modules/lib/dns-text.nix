# Zones and `named.conf` as text.
{ lib }:
let
  inherit (builtins)
    filter
    foldl'
    head
    replaceStrings
    stringLength
    substring
    tail
    ;

  # One string of a TXT record holds at most 255 octets (RFC 1035 §3.3): a longer text is several, which readers join.
  pieces =
    text:
    if stringLength text <= 255 then
      [ text ]
    else
      [ (substring 0 255 text) ] ++ pieces (substring 255 (stringLength text) text);
  quoted = text: "\"${replaceStrings [ "\\" "\"" ] [ "\\\\" "\\\"" ] text}\"";
  dataText =
    record:
    if record.type == "TXT" then
      lib.concatMapStringsSep " " quoted (pieces record.data)
    else
      record.data;

  # `ana.perez@correo.example` as a name: dots before the @ are escaped (RFC 1035 §8).
  rname =
    contact:
    let
      parts = lib.splitOn "@" contact;
    in
    "${replaceStrings [ "." ] [ "\\." ] (head parts)}.${
      lib.concatMapStringsSep "." (x: x) (tail parts)
    }.";

  recordLine =
    record: "${lib.fixedWidth 28 record.name} ${lib.fixedWidth 5 record.type} ${dataText record}\n";
  # Records with a heading before each group.
  recordLines =
    records:
    (foldl'
      (
        state: record:
        let
          heading = lib.optionalString (record.why != "" && record.why != state.why) "\n; ${record.why}.\n";
        in
        {
          inherit (record) why;
          text = state.text + heading + recordLine record;
        }
      )
      {
        why = "";
        text = "";
      }
      records
    ).text;

  indent =
    text:
    lib.concatMapStrings (line: if line == "" then "\n" else "  ${line}\n") (
      lib.splitOn "\n" (lib.removeSuffix "\n" text)
    );
  list = elements: "{ ${lib.concatMapStrings (e: "${e}; ") elements}}";
  block = head': body: "${head'} {\n${indent body}};\n";
in
{
  # A zone as one view sees it.
  zoneText =
    view: name: z:
    let
      seen = filter (record: record.view == null || record.view == view) z.records;
    in
    ''
      ; ${name} as the view `${view}' sees it. From the site file; a change there changes this file.
      $ORIGIN ${name}.
      $TTL ${toString z.ttl}
      @ SOA ${head z.nameServers}. ${rname z.contact} (
        1  ; serial: the primary puts a greater one here when it installs the file
        3600  ; refresh: secondaries ask again
        600  ; retry
        1209600  ; expire: a fortnight without a primary
        ${toString z.ttl}  ; how long a no may be kept
        )
    ''
    + lib.concatMapStrings (server: "@ NS ${server}.\n") z.nameServers
    + recordLines seen
    + lib.optionalString (z.lines != [ ]) (
      "\n; Further records of the site file.\n" + lib.lines z.lines
    );

  # The whole of named.conf. `c` is what the module's options hold.
  namedConf =
    c:
    let
      isPrimary = c.primary == null;
      tsig = view: "chasqui-${view}";
      exchanges = c.secondaries != [ ] || !isPrimary;
      tlsFiles = ''
        cert-file "${c.credentials}/host.crt";
        key-file "${c.credentials}/host.key";
        ca-file "${c.credentials}/ca.crt";
        protocols { TLSv1.3; };
      '';
      zoneBlock =
        view: name:
        block "zone \"${name}\"" (
          if isPrimary then
            ''
              type primary;
              file "zones/${view.name}/${name}.zone";
            ''
            + lib.optionalString c.dnssec ''
              dnssec-policy chasqui;
              inline-signing yes;
              key-directory "keys";
            ''
          else
            ''
              type secondary;
              file "copies/${view.name}/${name}";
              primaries { ${c.primary.address} port ${toString c.transferPort} key "${tsig view.name}" tls primary; }; # ${c.primary.name}
            ''
        );
      viewBlock =
        view:
        block "view \"${view.name}\"" (
          ''
            match-clients { ${lib.optionalString exchanges "key \"${tsig view.name}\"; "}${
              lib.concatMapStrings (other: "!key \"${tsig other.name}\"; ") (
                filter (other: exchanges && other.name != view.name) c.views
              )
            }${if view.clients == [ "any" ] then "any" else "\"clients-${view.name}\""}; };
            rrset-order { order cyclic; };
          ''
          + lib.optionalString (isPrimary && exchanges) ''
            also-notify { ${
              lib.concatMapStrings (s: "${s.address} key \"${tsig view.name}\"; ") c.secondaries
            }};
            allow-transfer port ${toString c.transferPort} transport tls { key "${tsig view.name}"; };
          ''
          + lib.concatMapStrings (zoneBlock view) (builtins.attrNames c.zones)
        );
    in
    ''
      # Authoritative DNS (E1). From the site file; a change there changes this file.
      include "/etc/bind/rndc.key";
      controls { inet 127.0.0.1 allow { 127.0.0.1; } keys { "rndc-key"; }; };
      statistics-channels { inet 127.0.0.1 port ${toString c.statisticsPort} allow { 127.0.0.1; }; };

    ''
    + lib.optionalString exchanges (
      "# Who may have which view's zones: a key each, and certificates of the site.\n"
      + lib.concatMapStrings (view: "include \"${c.credentials}/tsig-${view.name}.key\";\n") c.views
      + (
        if isPrimary then
          block "tls site" tlsFiles
        else
          block "tls primary" (tlsFiles + "remote-hostname \"${c.primary.name}\";\n")
      )
      + "\n"
    )
    + lib.concatMapStrings (
      view:
      lib.optionalString (
        view.clients != [ "any" ]
      ) "acl \"clients-${view.name}\" ${list view.clients};\n"
    ) c.views
    + lib.optionalString (isPrimary && c.dnssec) ''

      # Signatures are renewed when half of their time is left: the secondaries can answer that long without a primary.
      dnssec-policy chasqui {
        keys { csk lifetime unlimited algorithm ecdsap256sha256; };
        signatures-validity P30D;
        signatures-validity-dnskey P30D;
        signatures-refresh P15D;
      };
    ''
    + "\n"
    + block "options" (
      ''
        directory "${c.stateDirectory}";
        pid-file "/run/named/named.pid";
        session-keyfile "/run/named/session.key";

        listen-on port ${toString c.port} { any; };
        listen-on-v6 port ${toString c.port} { any; };
      ''
      + lib.optionalString (isPrimary && exchanges) (
        lib.concatMapStrings (
          a:
          "listen-on${lib.optionalString (lib.isIPv6 a) "-v6"} port ${toString c.transferPort} tls site { ${a}; };\n"
        ) c.transferAddresses
      )
      + ''

        # Nothing but its own zones.
        recursion no;
        allow-query { any; };
        allow-query-cache { none; };
        allow-transfer { none; };
        allow-update { none; };
        dnssec-validation no;
        empty-zones-enable no;
        notify ${if isPrimary && exchanges then "explicit" else "no"};

        # No more said than asked, and nothing about itself.
        minimal-responses yes;
        minimal-any yes;
        version none;
        hostname none;
        server-id none;

        # A forged question must not make it shout at a victim.
        rate-limit {
          responses-per-second ${toString c.responsesPerSecond};
          window 5;
          slip 2;
        };
        tcp-clients ${toString c.tcpClients};
      ''
    )
    + ''

      logging {
        # Not the standard error: NixOS' unit lets named go to the background, where that is lost.
        channel journal { syslog daemon; severity info; print-category yes; print-severity yes; };
        category default { journal; };
        category rate-limit { journal; };
        category query-errors { null; };
      };
    ''
    + lib.concatMapStrings (view: "\n${viewBlock view}") c.views;
}
