# A resolver of the host's own, which validates DNSSEC: exchangers and relays ask it alone. What they ask about strangers' mail so crosses
# no other machine, block lists see the site's own address, and the next resolver need not be trusted to have validated.
#
# It is for them only: it listens on a port of its own, beside whatever the host itself asks or answers on port 53.
{
  config,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.resolver;
  site = config.chasqui.site.data;
  asks = [
    "mx"
    "relay"
  ];
in
{
  options.chasqui.resolver = {
    enable = mkOption {
      type = types.bool;
      default = lib.any (role: lib.elem role config.chasqui.roles) asks;
      defaultText = lib.literalMD "whether the site file gives this host the role `mx` or `relay`";
      description = "Whether to run a validating resolver for this host's roles.";
    };

    port = mkOption {
      type = types.port;
      default = 5335;
      description = "Its port on 127.0.0.1, UDP and TCP. The roles' settings name 5335.";
    };

    forwarders = mkOption {
      type = types.listOf types.str;
      default = if site == null then [ ] else site.dns.forwarders;
      defaultText = lib.literalMD "`dns.forwarders` of the site file";
      example = [ "192.0.2.53" ];
      description = "Resolvers that it asks instead of going to the root servers. They must pass DNSSEC records on; it validates all the same.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.port != 53;
        message = "chasqui.resolver.port: 53 belongs to what the host itself asks or answers; take another port.";
      }
    ];

    services.unbound = {
      enable = true;
      resolveLocalQueries = false;
      # The keys of the root zone, kept up to date (RFC 5011).
      enableRootTrustAnchor = true;
      settings = {
        server = {
          interface = [ "127.0.0.1" ];
          inherit (cfg) port;
          access-control = [ "127.0.0.0/8 allow" ];
          # The outcome of a broken signature is in the log.
          val-log-level = 2;
          log-servfail = true;
          hide-identity = true;
          hide-version = true;
          harden-dnssec-stripped = true;
          harden-below-nxdomain = true;
          qname-minimisation = true;
          aggressive-nsec = true;
          prefetch = true;
          prefetch-key = true;
          # The roles keep old answers themselves, and know that they are old.
          serve-expired = false;
          num-threads = 2;
          msg-cache-size = "64m";
          rrset-cache-size = "128m";
          so-reuseport = true;
        };
        forward-zone = lib.optional (cfg.forwarders != [ ]) {
          name = ".";
          forward-addr = cfg.forwarders;
        };
      };
    };
  };
}
