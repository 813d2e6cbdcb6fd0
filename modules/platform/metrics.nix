# A host's side of monitoring: the node exporter, and mutual TLS (E19) in front of every metrics page that is served on loopback only.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  cfg = config.chasqui.metricsForwarding;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  local = lib.filterAttrs (_: page: page.loopback) config.chasqui.metrics;
in
{
  options.chasqui.metricsForwarding = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = known && chasquiLib.hostsWith site "monitoring" != [ ];
      defaultText = lib.literalMD "whether the site has a host with the role `monitoring`";
      description = "Whether metrics pages can be read from other hosts, by TLS with a certificate of the site on both ends.";
    };

    address = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = if known then chasquiLib.serviceAddress site host else null;
      defaultText = lib.literalMD "the address of the host's internal name";
      description = "Where the pages are served, each on the port that it has on loopback.";
    };

    tls = tls.options;
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.address != null;
        message = "chasqui.metricsForwarding.address: there is none; give the host an address in a service or management network.";
      }
      (tls.outsideStore "chasqui.metricsForwarding.tls" (lib.attrValues cfg.tls))
    ];

    services.prometheus.exporters.node = {
      enable = true;
      listenAddress = "127.0.0.1";
      inherit (import ./node.metrics.nix) port;
      enabledCollectors = [
        "systemd"
        "textfile"
      ];
      extraFlags = [ "--collector.textfile.directory=/var/lib/chasqui-metrics" ];
    };
    # Modules that have something to tell and no page of their own write it here.
    systemd.tmpfiles.rules = [ "d /var/lib/chasqui-metrics 0755 root root -" ];
    chasqui.metrics.node = import ./node.metrics.nix;

    services.stunnel = {
      enable = true;
      servers = lib.mapAttrs (_: page: {
        accept = "${if cfg.address == null then "" else cfg.address}:${toString page.port}";
        connect = "127.0.0.1:${toString page.port}";
        cert = cfg.tls.certificate;
        inherit (cfg.tls) key;
        CAfile = cfg.tls.ca;
        verifyChain = true;
        requireCert = true;
        sslVersionMin = "TLSv1.3";
      }) local;
    };

    # It listens on an address that may come late, and NixOS' module does not start it again.
    systemd.services.stunnel = {
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      startLimitIntervalSec = 0;
      serviceConfig = {
        Restart = "on-failure";
        RestartSec = "5s";
      };
    };

    chasqui.renewals.stunnel = lib.attrValues cfg.tls;
    chasqui.openings.metrics = {
      tcp = lib.mapAttrsToList (_: page: page.port) local;
      from = [ "role:monitoring" ];
    };
  };
}
