# What the web tiers serve (E6): the files that mail programs and mail servers of others look for, and where requests go.
{ lib }:
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    elem
    filter
    head
    map
    ;

  entriesOf = site: roles: filter (entry: elem entry.role roles) (attrValues site.publish);
  namesOf = site: roles: lib.unique (concatMap (entry: entry.names) (entriesOf site roles));
  webRoles = [
    "reverse-proxy"
    "http"
  ];

  # The published name under which a role offers a port: one of the domain's own before others, and one that is called after the protocol
  # (`imap.…`, `pop.…`) before the first. Null if nobody offers it.
  nameFor =
    site: domain: label: port:
    let
      offering = filter (
        entry:
        elem port entry.tcp
        && elem entry.role [
          "proxy"
          "relay"
        ]
      ) (attrValues site.publish);
      names = lib.unique (concatMap (entry: entry.names) offering);
      own = filter (name: name == domain || lib.hasSuffix ".${domain}" name) names;
      called = filter (lib.hasPrefix label);
      choices = called own ++ called names ++ own ++ names;
    in
    if choices == [ ] then null else head choices;

  servers = [
    {
      kind = "imap";
      label = "imap";
      port = 993;
      socket = "SSL";
    }
    {
      kind = "imap";
      label = "imap";
      port = 143;
      socket = "STARTTLS";
    }
    {
      kind = "pop3";
      label = "pop";
      port = 995;
      socket = "SSL";
    }
    {
      kind = "pop3";
      label = "pop";
      port = 110;
      socket = "STARTTLS";
    }
    {
      kind = "smtp";
      label = "smtp";
      port = 465;
      socket = "SSL";
    }
    {
      kind = "smtp";
      label = "smtp";
      port = 587;
      socket = "STARTTLS";
    }
  ];
  offered =
    site: domain:
    concatMap (
      server:
      let
        name = nameFor site domain server.label server.port;
      in
      lib.optional (name != null) (server // { inherit name; })
    ) servers;

  # What Mozilla's programs ask for (config-v1.1.xml).
  autoconfig =
    site: domain:
    let
      block =
        server:
        let
          tag = if server.kind == "smtp" then "outgoingServer" else "incomingServer";
        in
        ''
          <${tag} type="${server.kind}">
            <hostname>${server.name}</hostname>
            <port>${toString server.port}</port>
            <socketType>${server.socket}</socketType>
            <authentication>password-cleartext</authentication>
            <username>%EMAILADDRESS%</username>
          </${tag}>
        '';
      indented =
        text:
        lib.concatMapStrings (line: "    ${line}\n") (filter (line: line != "") (lib.splitOn "\n" text));
    in
    ''
      <?xml version="1.0" encoding="UTF-8"?>
      <clientConfig version="1.1">
        <emailProvider id="${domain}">
          <domain>${domain}</domain>
          <displayName>${domain}</displayName>
          <displayShortName>${domain}</displayShortName>
      ${lib.concatMapStrings (server: indented (block server)) (offered site domain)}  </emailProvider>
      </clientConfig>
    '';

  # What Outlook asks for. The user's address is in the request's body, which static content cannot repeat: the program keeps its own.
  autodiscover =
    site: domain:
    let
      code = {
        imap = "IMAP";
        pop3 = "POP3";
        smtp = "SMTP";
      };
      block = server: ''
        <Protocol>
          <Type>${code.${server.kind}}</Type>
          <Server>${server.name}</Server>
          <Port>${toString server.port}</Port>
          <DomainRequired>on</DomainRequired>
          <SPA>off</SPA>
          <SSL>${if server.socket == "SSL" then "on" else "off"}</SSL>
          <Encryption>${if server.socket == "SSL" then "SSL" else "TLS"}</Encryption>
          <AuthRequired>on</AuthRequired>
        </Protocol>
      '';
      indented =
        text:
        lib.concatMapStrings (line: "      ${line}\n") (filter (line: line != "") (lib.splitOn "\n" text));
    in
    ''
      <?xml version="1.0" encoding="utf-8"?>
      <Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
        <Response xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a">
          <Account>
            <AccountType>email</AccountType>
            <Action>settings</Action>
      ${lib.concatMapStrings (server: indented (block server)) (offered site domain)}    </Account>
        </Response>
      </Autodiscover>
    '';

  mxNames = site: namesOf site [ "mx" ];

  # The policy of a domain (RFC 8461 §3.2). A week is long enough to outlive an attack on DNS and short enough to mend a mistake.
  mtaStsPolicy =
    site: domain:
    lib.lines (
      [
        "version: STSv1"
        "mode: ${site.domains.${domain}.mta_sts}"
      ]
      ++ map (name: "mx: ${name}") (mxNames site)
      ++ [ "max_age: 604800" ]
    );
  # Whether others can fetch a domain's policy: it is wanted and its name is published.
  hasMtaSts =
    site: domain:
    site.domains.${domain}.mta_sts != "none" && elem "mta-sts.${domain}" (namesOf site webRoles);

  # The domain that a web name belongs to: the longest that it ends with. Null if none.
  domainOf =
    site: name:
    let
      ends = filter (domain: name == domain || lib.hasSuffix ".${domain}" name) (attrNames site.domains);
      longer = a: b: if builtins.stringLength b > builtins.stringLength a then b else a;
    in
    if ends == [ ] then null else builtins.foldl' longer (head ends) ends;
in
{
  inherit
    domainOf
    hasMtaSts
    mtaStsPolicy
    mxNames
    nameFor
    ;
  webNames = site: namesOf site webRoles;
  namesWithRoles = namesOf;

  # Every file of the HTTP tier, by the published name that it is served under and its path there.
  filesOf =
    site:
    let
      files =
        name:
        let
          domain = domainOf site name;
          is = label: domain != null && name == "${label}.${domain}";
        in
        lib.optionalAttrs (is "mta-sts" && hasMtaSts site domain) {
          "/.well-known/mta-sts.txt" = mtaStsPolicy site domain;
        }
        // lib.optionalAttrs (is "autoconfig") {
          "/mail/config-v1.1.xml" = autoconfig site domain;
        }
        // lib.optionalAttrs (is "autodiscover") {
          "/autodiscover/autodiscover.xml" = autodiscover site domain;
        }
        // lib.optionalAttrs (domain != null && name == domain) {
          "/.well-known/autoconfig/mail/config-v1.1.xml" = autoconfig site domain;
        };
    in
    lib.genAttrs (namesOf site webRoles) files;
}
