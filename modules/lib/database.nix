# The database cluster (E8): PostgreSQL under Patroni on every host with the role `database`, agreed by etcd on the same hosts, reached by
# one address in each data centre, where HAProxy passes connections to whichever host is primary.
{ lib }:
let
  inherit (builtins) filter length map;

  ports = {
    postgresql = 5432;
    patroni = 8008;
    etcdClient = 2379;
    etcdPeer = 2380;
    primary = 5000;
    replicas = 5001;
  };

  bracketed = address: if lib.isIPv6 address then "[${address}]" else address;
in
{
  inherit ports;

  fromSite =
    site: host:
    let
      members = lib.hostsWith site "database";
      dc = lib.datacenterOf site host;
      member = name: {
        inherit name;
        address = lib.serviceAddress site name;
        fqdn = lib.fqdn site name;
        near = lib.datacenterOf site name == dc;
      };
    in
    {
      scope = site.name;
      name = host;
      address = lib.serviceAddress site host;
      fqdn = lib.fqdn site host;
      members = map member members;
      # The one address that clients of this data centre use, null if the site names none.
      virtualAddress = site.database.at.${dc} or null;
    };

  # The clients of the cluster are hosts of the site, wherever their addresses come from.
  clientNetworks =
    site:
    lib.unique (
      builtins.concatLists (
        map (name: site.networks.${name}.prefixes) (
          filter (name: site.networks.${name}.over == [ ]) (lib.networksOfKind site "service")
        )
      )
    );

  etcdUrl = member: port: "https://${member.fqdn}:${toString port}";

  # pg_hba.conf: only TLS, only passwords that are never sent (SCRAM), replication from members alone.
  hba =
    { members, clientNetworks }:
    # Patroni and the backup come by the socket as the user `patroni`, who is `postgres` there (pg_ident.conf).
    [
      "local all postgres peer map=cluster"
      "local all all scram-sha-256"
    ]
    ++ map (
      member:
      "hostssl replication replicator ${member.address}/${
        if lib.isIPv6 member.address then "128" else "32"
      } scram-sha-256"
    ) members
    ++ map (
      member:
      "hostssl all postgres ${member.address}/${
        if lib.isIPv6 member.address then "128" else "32"
      } scram-sha-256"
    ) members
    ++ map (network: "hostssl all all ${network} scram-sha-256") clientNetworks
    ++ [ "hostnossl all all all reject" ];

  # HAProxy's configuration. It passes bytes; TLS is between the client and PostgreSQL. Patroni's answer to `GET /primary` tells who is
  # primary, and a connection to one that no longer is gets closed at once, so that no client writes to the past.
  haproxy =
    {
      virtualAddress,
      members,
      ca,
    }:
    let
      server =
        extra: member:
        "    server ${member.name} ${bracketed member.address}:${toString ports.postgresql} check port ${toString ports.patroni} check-ssl check-sni ${member.fqdn} verify required verifyhost ${member.fqdn} ca-file ${ca}${extra member}\n";
      listen = name: port: path: extra: ''

        listen ${name}
            bind ${bracketed virtualAddress}:${toString port}
            option httpchk OPTIONS ${path}
            http-check expect status 200
            default-server inter 2s fastinter 500ms fall 3 rise 2 on-marked-down shutdown-sessions
        ${lib.concatMapStrings (server extra) members}'';
    in
    ''
      # From the site file; a change there changes this file.
      global
          log /dev/log local0
          maxconn 2000
          ssl-default-server-options ssl-min-ver TLSv1.3

      defaults
          log global
          mode tcp
          option tcplog
          option dontlognull
          retries 2
          timeout connect 3s
          timeout check 2s
          timeout client 30m
          timeout server 30m
          timeout queue 10s
    ''
    + listen "primary" ports.primary "/primary" (_: "")
    # Replicas of this data centre first; others only when none of these is left.
    + listen "replicas" ports.replicas "/replica?lag=16MB" (
      member: if member.near then "" else " backup"
    );

  # Patroni's settings beside what NixOS' module sets (scope, name, addresses of PostgreSQL and the REST interface).
  patroni =
    {
      members,
      clientNetworks,
      credentials,
    }:
    {
      etcd3 = {
        hosts = map (member: "${member.fqdn}:${toString ports.etcdClient}") members;
        protocol = "https";
        cacert = "${credentials}/ca.crt";
        cert = "${credentials}/host.crt";
        key = "${credentials}/host.key";
      };
      restapi = {
        certfile = "${credentials}/host.crt";
        keyfile = "${credentials}/host.key";
        cafile = "${credentials}/ca.crt";
        # Reading the state is free (HAProxy does); changing it needs a certificate of the site.
        verify_client = "optional";
      };
      ctl = {
        cacert = "${credentials}/ca.crt";
        certfile = "${credentials}/host.crt";
        keyfile = "${credentials}/host.key";
      };
      bootstrap = {
        dcs = {
          ttl = 30;
          loop_wait = 10;
          retry_timeout = 10;
          maximum_lag_on_failover = 1048576;
          # Nothing acknowledged is lost while two members live; alone, the primary goes on.
          synchronous_mode = true;
          postgresql = {
            use_pg_rewind = true;
            use_slots = true;
          };
        };
        initdb = [
          { encoding = "UTF8"; }
          { locale = "C.UTF-8"; }
          "data-checksums"
        ];
      };
      postgresql = {
        pg_hba = lib.database.hba { inherit members clientNetworks; };
        pg_ident = [
          "cluster patroni postgres"
          "cluster root postgres"
        ];
        parameters = {
          ssl = "on";
          ssl_ca_file = "${credentials}/ca.crt";
          ssl_cert_file = "${credentials}/host.crt";
          ssl_key_file = "${credentials}/host.key";
          ssl_min_protocol_version = "TLSv1.3";
          password_encryption = "scram-sha-256";
          wal_log_hints = "on";
          archive_mode = "off";
        };
        authentication = {
          replication = {
            username = "replicator";
            sslmode = "verify-ca";
            sslrootcert = "${credentials}/ca.crt";
          };
          superuser = {
            username = "postgres";
            sslmode = "verify-ca";
            sslrootcert = "${credentials}/ca.crt";
          };
        };
        use_unix_socket = true;
      };
      watchdog.mode = "off";
    };

  # A majority must be able to agree: an odd number of members, three or more unless the site has no second servers.
  quorate =
    members: length members == 1 || (length members >= 3 && length members / 2 * 2 != length members);
}
