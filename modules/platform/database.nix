# The database cluster (E8): PostgreSQL under Patroni, etcd for agreement, HAProxy for one address that VRRP keeps on a living host.
#
# The address may be held by any member: its HAProxy passes connections to the primary wherever that is, so moving the address and electing
# a primary are independent of each other.
{
  config,
  lib,
  chasquiLib,
  pkgs,
  ...
}:
let
  cfg = config.chasqui.database;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  inherit (chasquiLib) database;
  hasRole = lib.elem "database" config.chasqui.roles;
  derived = if hasRole then database.fromSite site host else null;
  credentials = unit: "/run/credentials/${unit}.service";
  self = lib.findFirst (member: member.name == cfg.name) null cfg.members;
  others = lib.filter (member: member.name != cfg.name) cfg.members;
  network =
    if hasRole && cfg.virtualAddress != null then
      chasquiLib.networkOfAddress site cfg.virtualAddress
    else
      null;
  interface = if network == null then null else chasquiLib.interfaceOn site host network;
  near = lib.filter (member: member.near) cfg.members;
in
{
  imports = [ ./vrrp.nix ];

  options.chasqui.database = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `database`";
      description = "Whether this host is a member of the database cluster.";
    };

    scope = lib.mkOption {
      type = lib.types.str;
      default = if derived != null then derived.scope else "chasqui";
      defaultText = lib.literalMD "the site's name";
      description = "The name of the cluster.";
    };

    name = lib.mkOption {
      type = lib.types.str;
      default = if derived != null then derived.name else config.networking.hostName;
      defaultText = lib.literalMD "the host's name";
      description = "This member's name in the cluster.";
    };

    members = lib.mkOption {
      default = if derived != null then derived.members else [ ];
      defaultText = lib.literalMD "the site's hosts with the role `database`";
      description = "All members of the cluster, this one too: an odd number, so that a majority can agree.";
      type = lib.types.listOf (
        lib.types.submodule {
          options = {
            name = lib.mkOption {
              type = lib.types.str;
              description = "The member's name.";
            };
            address = lib.mkOption {
              type = lib.types.str;
              description = "Its IP address.";
            };
            fqdn = lib.mkOption {
              type = lib.types.str;
              description = "The name in its certificate.";
            };
            near = lib.mkOption {
              type = lib.types.bool;
              default = true;
              description = "Whether it is in this host's data centre. Reads go to near replicas.";
            };
          };
        }
      );
    };

    virtualAddress = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = if derived != null then derived.virtualAddress else null;
      defaultText = lib.literalMD "`database.at` of the host's data centre in the site file";
      description = "The one address of the cluster for clients of this data centre: port ${toString database.ports.primary} is the primary, port ${toString database.ports.replicas} the replicas. Without one HAProxy is not run.";
    };

    clientNetworks = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = if derived != null then database.clientNetworks site else [ ];
      defaultText = lib.literalMD "the site's service networks";
      description = "From where clients may log in, always by TLS and with a password.";
    };

    package = lib.mkPackageOption pkgs "postgresql_17" { };

    dataDir = lib.mkOption {
      type = lib.types.path;
      default = "/var/lib/postgresql/${cfg.scope}";
      defaultText = lib.literalExpression ''"/var/lib/postgresql/''${config.chasqui.database.scope}"'';
      description = "Where the database lies.";
    };

    tls = tls.options;

    secretsDir = lib.mkOption {
      type = lib.types.str;
      default = if site != null then site.secrets.database else "/etc/chasqui/secrets/database";
      defaultText = lib.literalMD "`secrets.database` of the site file";
      description = "A folder outside the Nix store with the files `superuser` and `replication`, a password each, equal on all members.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = self != null;
        message = "chasqui.database.members: this host, `${cfg.name}', is not among the members; add it, or set chasqui.database.name to the member that it is.";
      }
      {
        assertion = database.quorate cfg.members;
        message = "chasqui.database.members: ${toString (lib.length cfg.members)} members cannot lose one and still agree; make them an odd number, three or more (E8).";
      }
      (tls.outsideStore "chasqui.database.tls" (lib.attrValues cfg.tls))
      (tls.outsideStore "chasqui.database.secretsDir" [ cfg.secretsDir ])
      {
        assertion = cfg.virtualAddress == null || !hasRole || interface != null;
        message = "chasqui.database.virtualAddress: ${toString cfg.virtualAddress} is in no network that this host has an interface in; take an address of its service network (`database.at` in the site file).";
      }
    ];

    services.etcd = {
      enable = true;
      inherit (cfg) name;
      listenClientUrls = [ "https://0.0.0.0:${toString database.ports.etcdClient}" ];
      listenPeerUrls = [ "https://0.0.0.0:${toString database.ports.etcdPeer}" ];
      advertiseClientUrls = lib.optional (self != null) (database.etcdUrl self database.ports.etcdClient);
      initialAdvertisePeerUrls = lib.optional (self != null) (
        database.etcdUrl self database.ports.etcdPeer
      );
      initialCluster = map (
        member: "${member.name}=${database.etcdUrl member database.ports.etcdPeer}"
      ) cfg.members;
      initialClusterToken = cfg.scope;
      clientCertAuth = true;
      trustedCaFile = "${credentials "etcd"}/ca.crt";
      certFile = "${credentials "etcd"}/host.crt";
      keyFile = "${credentials "etcd"}/host.key";
      peerClientCertAuth = true;
      peerTrustedCaFile = "${credentials "etcd"}/ca.crt";
      peerCertFile = "${credentials "etcd"}/host.crt";
      peerKeyFile = "${credentials "etcd"}/host.key";
    };
    systemd.services.etcd.serviceConfig.LoadCredential = tls.loadCredentials cfg.tls;

    services.patroni = {
      enable = true;
      inherit (cfg) scope name;
      nodeIp = if self == null then "" else self.address;
      otherNodesIps = map (member: member.address) others;
      postgresqlPackage = cfg.package;
      postgresqlDataDir = cfg.dataDir;
      postgresqlPort = database.ports.postgresql;
      restApiPort = database.ports.patroni;
      # The module reads these files when the unit starts, so the passwords are in no file of the store.
      environmentFiles = {
        PATRONI_SUPERUSER_PASSWORD = "${credentials "patroni"}/superuser";
        PATRONI_REPLICATION_PASSWORD = "${credentials "patroni"}/replication";
      };
      settings = database.patroni {
        inherit (cfg) members clientNetworks;
        credentials = credentials "patroni";
      };
    };
    systemd.services.patroni = {
      after = [ "etcd.service" ];
      wants = [ "etcd.service" ];
      startLimitIntervalSec = 0;
      unitConfig.RequiresMountsFor = [ cfg.dataDir ];
      serviceConfig = {
        # Whatever it lacks at the start may come.
        RestartSec = "5s";
        LoadCredential = tls.loadCredentials cfg.tls ++ [
          "superuser:${cfg.secretsDir}/superuser"
          "replication:${cfg.secretsDir}/replication"
        ];
        # NixOS' module makes its folders only where the data lies in its own default folder: the one of `pgpass', which replicas
        # need, and the one of PostgreSQL's socket, which stays when Patroni goes before PostgreSQL does.
        StateDirectory = [ "patroni" ];
        StateDirectoryMode = "0750";
        RuntimeDirectory = "postgresql";
        RuntimeDirectoryPreserve = true;
        # A volume for the data is root's when it is new.
        ExecStartPre = "+${lib.getExe' pkgs.coreutils "install"} -d -m 0750 -o patroni -g patroni ${builtins.dirOf cfg.dataDir}";
      };
    };

    services.haproxy = lib.mkIf (cfg.virtualAddress != null) {
      enable = true;
      config = database.haproxy {
        inherit (cfg) virtualAddress members;
        ca = "${credentials "haproxy"}/ca.crt";
      };
    };
    # The folder of the certificates may be root's alone.
    systemd.services.haproxy = lib.mkIf (cfg.virtualAddress != null) {
      serviceConfig.LoadCredential = [ "ca.crt:${cfg.tls.ca}" ];
    };

    # HAProxy binds the address also where it is not held at the moment.
    boot.kernel.sysctl = lib.mkIf (cfg.virtualAddress != null) {
      "net.ipv4.ip_nonlocal_bind" = 1;
      "net.ipv6.ip_nonlocal_bind" = 1;
    };
    services.keepalived.vrrpScripts = lib.mkIf (interface != null) {
      haproxy = {
        script = "${pkgs.systemd}/bin/systemctl is-active --quiet haproxy.service";
        interval = 2;
        fall = 2;
        rise = 2;
        weight = 0;
      };
    };
    chasqui.vrrp.instances = lib.mkIf (interface != null) {
      database =
        chasquiLib.vrrp.instance site host {
          inherit network;
          members = map (member: member.name) near;
          id = chasquiLib.vrid "database";
          addresses = [ cfg.virtualAddress ];
          group = "database";
        }
        // {
          trackScripts = [ "haproxy" ];
        };
    };

    chasqui.openings = {
      database-cluster = {
        tcp = [
          database.ports.postgresql
          database.ports.patroni
          database.ports.etcdClient
          database.ports.etcdPeer
        ];
        from = [ "role:database" ];
      };
      database-metrics = {
        tcp = [ database.ports.patroni ];
        from = [ "role:monitoring" ];
      };
      database = lib.mkIf (cfg.virtualAddress != null) {
        tcp = [
          database.ports.primary
          database.ports.replicas
        ];
        from = [ "kind:service" ];
      };
    };
    chasqui.metrics.database = import ./database.metrics.nix;
    chasqui.logTags = {
      patroni = "patroni.service";
      etcd = "etcd.service";
    }
    // lib.optionalAttrs (cfg.virtualAddress != null) { haproxy = "haproxy.service"; };
    # A dump as of one moment, taken on the primary alone; the members' own files are copies of each other.
    chasqui.backupPaths.database = {
      path = "/var/backup/postgresql";
      before = lib.concatStringsSep " " [
        "${pkgs.bash}/bin/sh -c '"
        "${pkgs.curl}/bin/curl -sfo /dev/null --cacert ${cfg.tls.ca} https://${
          if self == null then "localhost" else self.fqdn
        }:${toString database.ports.patroni}/primary || exit 0;"
        "install -d -m 0700 /var/backup/postgresql;"
        "${cfg.package}/bin/pg_dumpall -h /run/postgresql -U postgres >/var/backup/postgresql/all.sql.new"
        "&& mv /var/backup/postgresql/all.sql.new /var/backup/postgresql/all.sql'"
      ];
    };
  };
}
