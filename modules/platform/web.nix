# What the web tiers share (E5, E6): one nginx with the host's certificate, which systemd shows to it alone.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  cfg = config.chasqui.web;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
in
{
  options.chasqui.web = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = config.chasqui.reverseProxy.enable or false || config.chasqui.http.enable or false;
      defaultText = lib.literalMD "whether the host is in one of the web tiers";
      description = "Whether to run nginx for the web tiers.";
    };

    package = lib.mkPackageOption pkgs "nginx" { };

    statusPort = lib.mkOption {
      type = lib.types.port;
      default = 8081;
      description = "The port of nginx's own figures, on loopback.";
    };

    tls = tls.options;

    credentials = lib.mkOption {
      type = lib.types.str;
      readOnly = true;
      default = "/run/credentials/nginx.service";
      description = "Where systemd shows certificates and keys to nginx.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [ (tls.outsideStore "chasqui.web.tls" (lib.attrValues cfg.tls)) ];

    services.nginx = {
      enable = true;
      inherit (cfg) package;
      # A change is a reload: connections that are open end by themselves.
      enableReload = true;
      serverTokens = false;
      # Names such as autodiscover.ministerio.gob.example are longer than nginx expects.
      mapHashBucketSize = lib.mkDefault 128;
      serverNamesHashBucketSize = lib.mkDefault 128;
      appendHttpConfig = lib.mkBefore (chasquiLib.nginx.common { inherit (cfg) statusPort; });
    };
    systemd.services.nginx = {
      # The tiers listen on addresses of their own.
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      serviceConfig = {
        LoadCredential = tls.loadCredentials cfg.tls;
        RefreshOnReload = "credentials";
      };
    };

    chasqui.renewals.nginx = lib.attrValues cfg.tls;
    chasqui.logTags.nginx = "nginx.service";
  };
}
