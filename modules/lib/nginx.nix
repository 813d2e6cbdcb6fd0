# The web tiers as nginx reads them, inside `http { }`: reverse proxies (E5) take requests from the internet and hand them, over TLS with
# certificates of the site on both ends (E19), to the HTTP tier (E6).
{ lib }:
let
  inherit (builtins)
    all
    attrNames
    concatMap
    concatStringsSep
    filter
    head
    map
    ;

  port = 8443;
  # Every host of the HTTP tier has this name in its certificate: nginx checks one name for all servers of a group.
  tierName = site: "http.${site.internal_domain}";
  quoted = text: "\"${text}\"";
  bracketed = address: if lib.isIPv6 address then "[${address}]" else address;
  logged = tag: "access_log syslog:server=unix:/dev/log,tag=${tag},nohostname chasqui;";
  indent =
    text:
    lib.concatMapStrings (line: if line == "" then "\n" else "  ${line}\n") (
      lib.splitOn "\n" (lib.removeSuffix "\n" text)
    );
  block = header: body: "${header} {\n${indent body}}\n";

  # TLS as Mozilla's intermediate profile has it, without the finite-field exchanges.
  tls = ''
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:chasqui:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
    ssl_stapling off;
  '';
in
{
  inherit port tierName;

  reverseProxyFromSite =
    site: host:
    let
      dc = lib.datacenterOf site host;
      near = lib.hostsWithIn site dc "http";
      servers = if near == [ ] then lib.hostsWith site "http" else near;
    in
    {
      names = lib.unique (
        concatMap (entry: lib.optionals (entry.role == "reverse-proxy") entry.names) (
          lib.publishedFor site host
        )
      );
      servers = map (name: {
        inherit name port;
        address = lib.addressToward site host name;
        inherit (site.hosts.${name}) drain weight;
      }) servers;
      serverName = tierName site;
    };

  httpFromSite =
    site: host:
    let
      names = lib.web.webNames site;
      wwwOf = filter (
        name: lib.hasPrefix "www." name && builtins.elem (builtins.substring 4 (-1) name) names
      ) names;
    in
    {
      addresses = lib.serviceAddresses site host;
      clients = lib.hostsWith site "reverse-proxy";
      proxyAddresses = lib.unique (
        concatMap (name: lib.serviceAddresses site name ++ [ (lib.addressToward site host name) ]) (
          lib.hostsWith site "reverse-proxy"
        )
      );
      files = lib.web.filesOf site;
      redirects = lib.genAttrs wwwOf (name: "https://${builtins.substring 4 (-1) name}");
    };

  # What both tiers need once.
  common = c: ''
    # From the site file; a change there changes this text.
    # Paths without their queries: those may hold what is nobody's business.
    log_format chasqui '$remote_addr $host "$request_method $uri $server_protocol" $status $body_bytes_sent ''${request_time}s $upstream_addr $upstream_status';
    server {
      listen 127.0.0.1:${toString c.statusPort};
      location = /status { stub_status; access_log off; allow 127.0.0.1; deny all; }
      location / { return 404; }
    }
  '';

  reverseProxy =
    r:
    let
      even = all (server: server.weight == (head r.servers).weight) r.servers;
      server =
        s:
        "server ${bracketed s.address}:${toString s.port}"
        + lib.optionalString (!even) " weight=${toString s.weight}"
        + " max_fails=2 fail_timeout=5s"
        + lib.optionalString s.drain " down"
        + "; # ${s.name}"
        + lib.optionalString s.drain ", drained"
        + "\n";
      names = concatStringsSep " " r.names;
    in
    ''

      # ---- Reverse proxy (E5) ----
    ''
    + block "upstream chasqui_http" (
      ''
        zone chasqui_http 128k;
        least_conn;
      ''
      + lib.concatMapStrings server r.servers
      + "keepalive 32;\n"
    )
    + ''
      limit_conn_zone $binary_remote_addr zone=chasqui_addresses:10m;
    ''
    + block "server" ''
      # Nothing is served in clear.
      listen 80 default_server;
      listen [::]:80 default_server;
      server_name ${names};
      ${logged "reverse_proxy"}
      return 301 https://$host$request_uri;
    ''
    + block "server" ''
      # A name that is not ours has no certificate, either.
      listen 443 ssl default_server;
      listen [::]:443 ssl default_server;
      ssl_reject_handshake on;
    ''
    + block "server" (
      ''
        listen 443 ssl;
        listen [::]:443 ssl;
        http2 on;
        server_name ${names};
        ${logged "reverse_proxy"}

        ssl_certificate ${r.credentials}/public.crt;
        ssl_certificate_key ${r.credentials}/public.key;
      ''
      + tls
      + ''
        add_header Strict-Transport-Security "max-age=${toString r.hstsSeconds}" always;

        client_max_body_size ${r.bodyLimit};
        client_header_buffer_size 1k;
        large_client_header_buffers 4 8k;
        client_header_timeout 10s;
        client_body_timeout 30s;
        send_timeout 30s;
        keepalive_timeout 30s;
        limit_conn chasqui_addresses ${toString r.connectionsPerAddress};
        limit_conn_status 429;

      ''
      + block "location /" ''
        proxy_pass https://chasqui_http;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        # The client's address as it came here: the façade does not change it, and what a client claims is dropped.
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto https;
        proxy_connect_timeout 3s;
        proxy_read_timeout 60s;
        proxy_next_upstream error timeout;
        proxy_next_upstream_tries 2;

        proxy_ssl_protocols TLSv1.3;
        proxy_ssl_certificate ${r.credentials}/host.crt;
        proxy_ssl_certificate_key ${r.credentials}/host.key;
        proxy_ssl_trusted_certificate ${r.credentials}/ca.crt;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 1;
        proxy_ssl_name ${r.serverName};
        proxy_ssl_server_name on;
      ''
    );

  http =
    h:
    let
      discovering = attrNames (
        lib.filterAttrs (_: files: files ? "/autodiscover/autodiscover.xml") h.files
      );
      line = key: value: "${quoted key} ${quoted value};\n";
    in
    ''

      # ---- HTTP tier (E6) ----
      # Each name has a folder of its own; other names have none.
    ''
    + block "map $host $chasqui_folder" (
      "default none;\n"
      + lib.concatMapStrings (name: line name name) (
        attrNames (lib.filterAttrs (_: files: files != { }) h.files)
      )
    )
    + block "map $host $chasqui_redirect" (
      ''default "";''
      + "\n"
      + lib.concatMapStrings (name: line name h.redirects.${name}) (attrNames h.redirects)
    )
    + ''
      # A certificate of the site is not enough: only reverse proxies come here.
    ''
    + block "map $ssl_client_s_dn $chasqui_client" (
      "default 0;\n" + lib.concatMapStrings (name: line "CN=${name}" "1") h.clients
    )
    + block "server" (
      lib.concatMapStrings (
        a: "listen ${bracketed a}:${toString h.port} ssl default_server;\n"
      ) h.addresses
      + ''
        server_name _;
        ${logged "http"}

        ssl_protocols TLSv1.3;
        ssl_certificate ${h.credentials}/host.crt;
        ssl_certificate_key ${h.credentials}/host.key;
        ssl_client_certificate ${h.credentials}/ca.crt;
        ssl_verify_client on;
        ssl_verify_depth 1;
        ssl_session_tickets off;
        if ($chasqui_client = 0) { return 403; }
        ${lib.concatMapStringsSep "\n" (a: "set_real_ip_from ${a};") h.proxyAddresses}
        real_ip_header X-Real-IP;

        root ${h.root}/$chasqui_folder;
        types { text/plain txt; application/xml xml; text/html html; text/css css; image/svg+xml svg; }
        default_type application/octet-stream;
        charset utf-8;
        add_header X-Content-Type-Options nosniff always;
        add_header Content-Security-Policy "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'" always;
        add_header Referrer-Policy no-referrer always;

        if ($chasqui_redirect) { return 301 $chasqui_redirect$request_uri; }
        location / { try_files $uri =404; }
      ''
      + lib.optionalString (discovering != [ ]) (
        ''
          # Outlook posts its question, and not always in small letters.
        ''
        + block "location ~* ^/autodiscover/autodiscover\\.xml$" ''
          error_page 405 =200 /autodiscover/autodiscover.xml;
          try_files /autodiscover/autodiscover.xml =404;
        ''
      )
    );
}
