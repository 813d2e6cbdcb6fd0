# What can be set of a DNS server (E1): options of `chasqui.dns`, whose defaults derive from the site where the host has the role.
{
  config,
  lib,
  pkgs,
  chasquiLib,
}:
let
  inherit (lib) mkOption types;
  tls = import ../../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  fromSite = lib.elem "dns" config.chasqui.roles;
  derived = chasquiLib.dns.fromSite site host;
  # The default of an option: from the site file where this host has the role, else nothing.
  derive = name: fallback: {
    default = if fromSite then derived.${name} else fallback;
    defaultText = lib.literalMD "from the site file";
  };

  serverOptions.options = {
    name = mkOption {
      type = types.str;
      description = "The server's name in its certificate.";
    };
    address = mkOption {
      type = types.str;
      description = "The address where the other servers reach it.";
    };
  };
  recordOptions.options = {
    name = mkOption {
      type = types.str;
      description = "The record's name, relative to the zone; `@` is the zone itself.";
    };
    type = mkOption {
      type = types.str;
      description = "The record's type.";
    };
    data = mkOption {
      type = types.str;
      description = "What it says, as in a zone file; of TXT the text alone, unquoted and whole.";
    };
    view = mkOption {
      type = types.nullOr types.str;
      default = null;
      description = "The view that has the record. Default all.";
    };
    why = mkOption {
      type = types.str;
      default = "";
      description = "A heading for the zone file.";
    };
  };
in
{
  enable = mkOption {
    type = types.bool;
    default = fromSite;
    defaultText = lib.literalMD "whether the site file gives this host the role `dns`";
    description = "Whether to run an authoritative DNS server (E1).";
  };

  package = lib.mkPackageOption pkgs "bind" { };

  primary = mkOption (
    {
      type = types.nullOr (types.submodule serverOptions);
      description = "The server that signs the zones and that this one takes them from; null if it is this one.";
    }
    // derive "primary" null
  );
  secondaries = mkOption (
    {
      type = types.listOf (types.submodule serverOptions);
      description = "The servers that take the zones from this one.";
    }
    // derive "secondaries" [ ]
  );

  views = mkOption (
    {
      description = "What clients see, by where they are: the first view that a client's address is in is its view. The last is for everybody.";
      type = types.listOf (
        types.submodule {
          options = {
            name = mkOption {
              type = types.strMatching "[a-z][a-z0-9-]*";
              description = "The view's name.";
            };
            clients = mkOption {
              type = types.listOf types.str;
              description = "The networks of its clients, or `any`.";
            };
          };
        }
      );
    }
    // derive "views" [
      {
        name = chasquiLib.dns.everybody;
        clients = [ "any" ];
      }
    ]
  );

  zones = mkOption (
    {
      description = "The zones.";
      type = types.attrsOf (
        types.submodule {
          options = {
            nameServers = mkOption {
              type = types.listOf types.str;
              description = "The names of its servers, the primary's first.";
            };
            contact = mkOption {
              type = types.strMatching "[^@]+@[^@]+";
              description = "The e-mail address of who answers for the zone.";
            };
            ttl = mkOption {
              type = types.ints.positive;
              default = 300;
              description = "How long answers may be kept, in seconds. Short, so that an address that goes is soon forgotten.";
            };
            records = mkOption {
              type = types.listOf (types.submodule recordOptions);
              default = [ ];
              description = "Its records, without SOA and those of its own servers.";
            };
            lines = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Further lines of the zone file.";
            };
          };
        }
      );
    }
    // derive "zones" { }
  );

  dnssec = mkOption (
    {
      type = types.bool;
      description = "Whether zones are signed.";
    }
    // derive "dnssec" true
  );

  transferAddresses = mkOption (
    {
      type = types.listOf types.str;
      description = "The addresses at which the primary gives zones away, over TLS.";
    }
    // derive "transferAddresses" [ ]
  );
  transferPort = mkOption {
    type = types.port;
    default = 853;
    description = "The TCP port of transfers over TLS (RFC 9103).";
  };
  port = mkOption {
    type = types.port;
    default = 53;
    description = "The port where questions are answered.";
  };
  statisticsPort = mkOption {
    type = types.port;
    default = 8053;
    description = "The port of BIND's statistics, on loopback.";
  };
  stateDirectory = mkOption {
    type = types.str;
    default = "/var/lib/named";
    description = "Where the signed zones, the primary's DNSSEC keys and the secondaries' copies are.";
  };
  responsesPerSecond = mkOption {
    type = types.ints.positive;
    default = 20;
    description = "How many equal answers a network of clients (a /24, a /56) gets in a second; the rest is dropped or shortened, so that this server is no amplifier. A resolver asks again over TCP.";
  };
  tcpClients = mkOption {
    type = types.ints.positive;
    default = 1000;
    description = "How many TCP connections are taken at a time.";
  };

  transferKeys = mkOption {
    type = types.str;
    default =
      if site == null || host == null then
        "/etc/chasqui/secrets/dns"
      else
        chasquiLib.secret site host "dns";
    defaultText = lib.literalMD "`secrets.dns` of the site file";
    description = "A folder with the key of each view, `VIEW.key`, made by `tsig-keygen -a hmac-sha256 chasqui-VIEW`; the same on all servers.";
  };
  tls = tls.options;
  credentials = mkOption {
    type = types.str;
    readOnly = true;
    default = "/run/credentials/bind.service";
    description = "Where systemd shows these files to BIND.";
  };
}
