# Prometheus and its alerts. Each monitoring host reads every host of the site and keeps its own history; their Alertmanagers agree, so that
# an alert is told once.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  cfg = config.chasqui.monitoring;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  inherit (chasquiLib) monitoring;
  hasRole = lib.elem "monitoring" config.chasqui.roles;
  credentials = unit: "/run/credentials/${unit}.service";
  clusterPort = 9094;
  clusterTls = config.environment.etc."alertmanager/cluster-tls.yml".text;
in
{
  options.chasqui.monitoring = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `monitoring`";
      description = "Whether this host collects metrics and raises alerts.";
    };

    jobs = lib.mkOption {
      default = if hasRole then monitoring.jobs site else [ ];
      defaultText = lib.literalMD "every page of every host of the site";
      description = "The pages to read.";
      type = lib.types.listOf (
        lib.types.submodule {
          options = {
            name = lib.mkOption {
              type = lib.types.str;
              description = "The job's name.";
            };
            port = lib.mkOption {
              type = lib.types.port;
              description = "The TCP port of the page.";
            };
            path = lib.mkOption {
              type = lib.types.str;
              default = "/metrics";
              description = "The path of the page.";
            };
            targets = lib.mkOption {
              description = "The hosts that serve it.";
              type = lib.types.listOf (
                lib.types.submodule {
                  options = {
                    host = lib.mkOption {
                      type = lib.types.str;
                      description = "The host's name, a label of its metrics.";
                    };
                    address = lib.mkOption {
                      type = lib.types.str;
                      description = "`NAME:PORT`; the name is one in the host's certificate.";
                    };
                    datacenter = lib.mkOption {
                      type = lib.types.str;
                      description = "Where it is, a label of its metrics.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };

    rules = lib.mkOption {
      type = lib.types.lines;
      default = if hasRole then monitoring.rules site else "groups: []\n";
      defaultText = lib.literalMD "the alerts beside each module that the site uses";
      description = "Alert rules, as Prometheus reads them.";
    };

    retention = lib.mkOption {
      type = lib.types.ints.positive;
      default = if hasRole then chasquiLib.seconds site.monitoring.retention else 2592000;
      defaultText = lib.literalMD "`monitoring.retention` of the site file";
      description = "Seconds that metrics are kept.";
    };

    alertTo = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = if hasRole then site.monitoring.alerts else [ ];
      defaultText = lib.literalMD "`monitoring.alerts` of the site file";
      description = "Mail addresses that alerts go to. Without any, alerts are only shown.";
    };

    smarthost = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default =
        let
          exchangers = if hasRole then chasquiLib.hostsWith site "mx" else [ ];
        in
        if exchangers == [ ] then null else "${chasquiLib.fqdn site (lib.head exchangers)}:25";
      defaultText = lib.literalMD "the first exchanger of the site";
      description = "`HOST:PORT` that takes the mail, with STARTTLS.";
    };

    smarthostName = lib.mkOption {
      type = lib.types.str;
      default =
        let
          published =
            if hasRole then lib.filter (entry: entry.role == "mx") (lib.attrValues site.publish) else [ ];
        in
        if published == [ ] then "" else lib.head (lib.head published).names;
      defaultText = lib.literalMD "the exchangers' published name";
      description = "The name that must stand in the smarthost's certificate.";
    };

    peers = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default =
        if hasRole then
          map (other: chasquiLib.fqdn site other) (
            lib.filter (other: other != host) (chasquiLib.hostsWith site "monitoring")
          )
        else
          [ ];
      defaultText = lib.literalMD "the other hosts of the site with the role `monitoring`";
      description = "The other monitoring hosts; their Alertmanagers agree on who tells an alert.";
    };

    tls = tls.options;
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.alertTo == [ ] || cfg.smarthost != null;
        message = "chasqui.monitoring.smarthost: alerts are to be mailed (monitoring.alerts), but no exchanger takes the mail; set it to HOST:PORT.";
      }
      (tls.outsideStore "chasqui.monitoring.tls" (lib.attrValues cfg.tls))
    ];

    services.prometheus = {
      enable = true;
      # Operators come through the VPN and an SSH tunnel.
      listenAddress = "127.0.0.1";
      # The certificates are on the host, not where it is built.
      checkConfig = "syntax-only";
      retentionTime = "${toString cfg.retention}s";
      globalConfig = {
        scrape_interval = "15s";
        evaluation_interval = "15s";
      };
      scrapeConfigs = map (job: {
        job_name = job.name;
        scheme = "https";
        metrics_path = job.path;
        tls_config = {
          ca_file = "${credentials "prometheus"}/ca.crt";
          cert_file = "${credentials "prometheus"}/host.crt";
          key_file = "${credentials "prometheus"}/host.key";
        };
        static_configs = map (target: {
          targets = [ target.address ];
          labels = { inherit (target) host datacenter; };
        }) job.targets;
      }) cfg.jobs;
      rules = [ cfg.rules ];
      alertmanagers = lib.mkIf (cfg.alertTo != [ ]) [
        { static_configs = [ { targets = [ "127.0.0.1:9093" ]; } ]; }
      ];

      alertmanager = lib.mkIf (cfg.alertTo != [ ]) {
        enable = true;
        listenAddress = "127.0.0.1";
        # The module adds the port, 9094.
        clusterPeers = cfg.peers;
        extraFlags =
          if cfg.peers == [ ] then
            [ "--cluster.listen-address=" ]
          else
            [
              "--cluster.listen-address=0.0.0.0:${toString clusterPort}"
              "--cluster.tls-config=/etc/alertmanager/cluster-tls.yml"
            ];
        configuration = monitoring.alertmanager {
          receivers = cfg.alertTo;
          sender = lib.head cfg.alertTo;
          smarthost = if cfg.smarthost == null then "" else cfg.smarthost;
          serverName = cfg.smarthostName;
          hostname = config.networking.hostName;
        };
      };
    };
    systemd.services.prometheus.serviceConfig.LoadCredential = tls.loadCredentials cfg.tls;
    systemd.services.alertmanager = lib.mkIf (cfg.alertTo != [ ]) {
      serviceConfig.LoadCredential = tls.loadCredentials cfg.tls;
      restartTriggers = [ clusterTls ];
    };

    environment.etc."alertmanager/cluster-tls.yml".text =
      let
        pair = ''
          ${"  "}cert_file: ${credentials "alertmanager"}/host.crt
          ${"  "}key_file: ${credentials "alertmanager"}/host.key
        '';
      in
      ''
        # The gossip of Alertmanagers goes by TLS with certificates on both ends (E19).
        tls_server_config:
        ${pair}  client_ca_file: ${credentials "alertmanager"}/ca.crt
          client_auth_type: RequireAndVerifyClientCert
        tls_client_config:
        ${pair}  ca_file: ${credentials "alertmanager"}/ca.crt
      '';

    chasqui.openings.alertmanager = lib.mkIf (cfg.peers != [ ]) {
      tcp = [ clusterPort ];
      from = [ "role:monitoring" ];
    };
    chasqui.renewals = {
      prometheus = lib.attrValues cfg.tls;
    }
    // lib.optionalAttrs (cfg.alertTo != [ ]) { alertmanager = lib.attrValues cfg.tls; };
    chasqui.logTags = {
      prometheus = "prometheus.service";
    }
    // lib.optionalAttrs (cfg.alertTo != [ ]) { alertmanager = "alertmanager.service"; };
  };
}
