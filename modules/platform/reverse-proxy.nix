# The reverse proxy tier (E5): TLS from the internet ends here; requests go on, over TLS again, to every host of the HTTP tier.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.reverseProxy;
  web = config.chasqui.web;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  hasRole = lib.elem "reverse-proxy" config.chasqui.roles;
  derived = chasquiLib.nginx.reverseProxyFromSite site host;
  derive = name: fallback: {
    default = if hasRole then derived.${name} else fallback;
    defaultText = lib.literalMD "from the site file";
  };
  secret =
    name: fallback: if site == null || host == null then fallback else chasquiLib.secret site host name;
  page = import ./reverse-proxy.metrics.nix;
in
{
  imports = [ ./web.nix ];

  options.chasqui.reverseProxy = {
    enable = mkOption {
      type = types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `reverse-proxy`";
      description = "Whether this host is a reverse proxy (E5).";
    };

    names = mkOption (
      {
        type = types.listOf types.str;
        description = "The names that are served; others are not even shaken hands with.";
      }
      // derive "names" [ ]
    );

    servers = mkOption (
      {
        description = "The servers of the HTTP tier. Each request goes to the one with the fewest open.";
        type = types.listOf (
          types.submodule {
            options = {
              name = mkOption {
                type = types.str;
                description = "The server's name, for the reader.";
              };
              address = mkOption {
                type = types.str;
                description = "Its address.";
              };
              port = mkOption {
                type = types.port;
                default = chasquiLib.nginx.port;
                description = "Its port.";
              };
              weight = mkOption {
                type = types.ints.positive;
                default = 100;
                description = "Its share among the servers.";
              };
              drain = mkOption {
                type = types.bool;
                default = false;
                description = "Whether it gets no more requests.";
              };
            };
          }
        );
      }
      // derive "servers" [ ]
    );

    serverName = mkOption (
      {
        type = types.str;
        description = "The name that each server's certificate must have (E19).";
      }
      // derive "serverName" "http"
    );

    bodyLimit = mkOption {
      type = types.strMatching "[0-9]+[kmg]?";
      default = "32m";
      description = "The largest body of a request. Default: a message of 25 MB in base64, less what nobody sends.";
    };
    connectionsPerAddress = mkOption {
      type = types.ints.positive;
      default = 100;
      description = "How many requests an address may have open. Many people may be behind one.";
    };
    hstsSeconds = mkOption {
      type = types.ints.unsigned;
      default = 63072000;
      description = "How long browsers shall come back only over TLS, in seconds. Default two years.";
    };

    certificate = mkOption {
      type = types.str;
      default = secret "public_certificate" "/etc/chasqui/public/fullchain.pem";
      defaultText = lib.literalMD "`secrets.public_certificate` of the site file";
      description = "The certificate that browsers see, with its chain.";
    };
    key = mkOption {
      type = types.str;
      default = secret "public_key" "/etc/chasqui/public/privkey.pem";
      defaultText = lib.literalMD "`secrets.public_key` of the site file";
      description = "Its private key, outside the Nix store.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.names != [ ];
        message = "chasqui.reverseProxy.names: there is nothing to serve; give the site file an entry under `publish' with role = \"reverse-proxy\", names and addresses in this data centre.";
      }
      {
        assertion = cfg.servers != [ ];
        message = "chasqui.reverseProxy.servers: there is no HTTP tier behind it; give a host of the site file the role `http'.";
      }
      {
        assertion = cfg.servers == [ ] || lib.any (server: !server.drain) cfg.servers;
        message = "chasqui.reverseProxy.servers: every server is drained, so nobody would answer; let one have drain = false.";
      }
      {
        assertion = chasquiLib.notInStore cfg.key;
        message = "chasqui.reverseProxy.key: ${cfg.key} is in the Nix store, which everybody can read; name a path on the host.";
      }
    ];

    services.nginx.appendHttpConfig = chasquiLib.nginx.reverseProxy (
      {
        inherit (web) credentials;
      }
      // {
        inherit (cfg)
          bodyLimit
          connectionsPerAddress
          hstsSeconds
          names
          serverName
          servers
          ;
      }
    );
    systemd.services.nginx.serviceConfig.LoadCredential = [
      "public.crt:${cfg.certificate}"
      "public.key:${cfg.key}"
    ];

    services.prometheus.exporters.nginx = {
      enable = true;
      inherit (page) port;
      listenAddress = "127.0.0.1";
      scrapeUri = "http://127.0.0.1:${toString web.statusPort}/status";
    };

    chasqui = {
      openings.reverse-proxy = {
        tcp = [
          80
          443
        ];
        from = [ "published" ];
      };
      metrics.reverse-proxy = page;
      renewals.nginx = [
        cfg.certificate
        cfg.key
      ];
      healthChecks.reverse-proxy.port = 443;
    };
  };
}
