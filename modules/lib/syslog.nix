# Central logs (S2): every host sends what its journal gets to each host of the role `log`, over TLS with certificates of the site on both
# ends (E19). They file it by host and tag, so that one grep finds a message on all hosts that it went through.
{ lib }:
let
  inherit (builtins)
    concatMap
    filter
    map
    ;

  json = import ./json.nix { inherit (lib) base; };

  port = 6514;

  quoted = text: "\"${text}\"";
  # gnutls is the driver that rsyslog has in NixOS and in Debian.
  tls13 = "gnutlsPriorityString=\"NORMAL:-VERS-ALL:+VERS-TLS1.3\"";

  forward = c: server: ''
    # ${server.name}: what cannot be sent waits on disk, and is dropped before it fills it or stops anybody.
    action(
      type="omfwd" name="to-${server.name}" target="${server.address}" port="${toString c.port}" protocol="tcp"
      StreamDriver="gtls" StreamDriverMode="1" StreamDriverAuthMode="x509/name" StreamDriverPermittedPeers="${server.certificateName}"
      ${tls13}
      TCP_Framing="octet-counted" template="RSYSLOG_SyslogProtocol23Format" KeepAlive="on"
      action.resumeRetryCount="-1" action.resumeInterval="5" action.resumeIntervalMax="60"
      queue.type="LinkedList" queue.size="20000" queue.filename="to-${server.name}" queue.maxDiskSpace="${c.queueDisk}"
      queue.checkpointInterval="1000" queue.saveOnShutdown="on" queue.timeoutEnqueue="0"
    )
  '';
in
{
  inherit port;

  fromSite =
    site: host:
    let
      logs = filter (other: other != host) (lib.hostsWith site "log");
    in
    {
      servers = map (name: {
        inherit name;
        certificateName = lib.fqdn site name;
        address = lib.addressToward site host name;
      }) logs;
      peers = [ "*.${site.internal_domain}" ];
      # Any of its addresses: which one a host sends from is its routes' business.
      hosts = builtins.listToAttrs (
        concatMap (
          name:
          map (a: {
            name = a;
            value = name;
          }) (lib.allAddresses site name)
        ) (lib.hosts site)
      );
      retentionDays = lib.seconds site.log.retention / 86400;
    };

  # The table by which a log host knows who sent a message, whatever the message claims.
  hostsTable =
    hosts:
    json {
      version = 1;
      nomatch = "unknown";
      type = "string";
      table = lib.mapAttrsToList (index: value: { inherit index value; }) hosts;
    };

  # rsyslog's configuration, without the input that NixOS' module writes. `c` is what the module's options hold.
  text =
    c:
    ''
      # Central logs (S2). From the site file; a change there changes this file.
      global(
        localHostname=${quoted c.localName}
        maxMessageSize="64k"
        defaultNetstreamDriverCAFile="${c.credentials}/ca.crt"
        defaultNetstreamDriverCertFile="${c.credentials}/host.crt"
        defaultNetstreamDriverKeyFile="${c.credentials}/host.key"
      )
    ''
    + lib.optionalString c.collect.enable ''

      # ---- What other hosts send ----
      module(
        load="imtcp" maxSessions="${toString c.collect.sessions}" keepAlive="on"
        StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/name"
        permittedPeer=[${lib.concatMapStringsSep ", " quoted c.collect.peers}]
        ${tls13}
      )
      lookup_table(name="hosts" file="${c.collect.hostsFile}")
      # A host is who its address says, a file is of a day: HOST/TAG/DAY.log.
      template(name="file" type="list") {
        constant(value="${c.collect.folder}/")
        property(name="$.host" securePath="replace")
        constant(value="/")
        property(name="programname" securePath="replace")
        constant(value="/")
        property(name="$now")
        constant(value=".log")
      }
      ruleset(name="file") {
        action(
          type="omfile" dynaFile="file" template="RSYSLOG_FileFormat" dynaFileCacheSize="1000"
          createDirs="on" dirCreateMode="0750" fileCreateMode="0640" dirGroup="${c.collect.group}" fileGroup="${c.collect.group}"
          asyncWriting="on" flushInterval="1" closeTimeout="10"
        )
      }
      ruleset(name="received" queue.type="LinkedList" queue.size="100000") {
        set $.host = lookup("hosts", $fromhost-ip);
        call file
      }
      input(type="imtcp" port="${toString c.port}" ruleset="received")
    ''
    + ''

      # ---- What this host has to say ----
    ''
    + lib.optionalString c.collect.enable ''
      set $.host = ${quoted c.localName};
      call file
    ''
    + lib.concatMapStrings (forward c) c.servers;
}
