# Authoritative DNS with views by region and DNSSEC (E1), on the hosts of the role `dns`. modules/lib/dns.nix says how the servers share
# the work.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  cfg = config.chasqui.dns;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  fromSite = lib.elem "dns" config.chasqui.roles;
  derived = chasquiLib.dns.fromSite site host;
  # The default of an option: from the site file where this host has the role, else nothing.
  derive = name: fallback: {
    default = if fromSite then derived.${name} else fallback;
    defaultText = lib.literalMD "from the site file";
  };
  secret =
    name: fallback: if site == null || host == null then fallback else chasquiLib.secret site host name;

  page = import ./dns.metrics.nix;

  isPrimary = cfg.primary == null;
  exchanges = cfg.secondaries != [ ] || !isPrimary;
  confText = chasquiLib.dns.namedConf cfg;
  zoneTexts = lib.concatMapAttrs (
    zone: z:
    lib.listToAttrs (
      map (
        view:
        lib.nameValuePair "named/zones/${view.name}/${zone}.zone" (chasquiLib.dns.zoneText view.name zone z)
      ) cfg.views
    )
  ) cfg.zones;
  install = lib.getExe (
    pkgs.writeShellApplication {
      name = "chasqui-dns-install";
      runtimeInputs = [
        pkgs.coreutils
        pkgs.diffutils
        pkgs.findutils
        pkgs.gnused
      ];
      text = builtins.readFile ./dns-install.sh;
    }
  );
  installZones = lib.optionalString isPrimary "${install} /etc/named/zones ${cfg.stateDirectory}";

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
  options.chasqui.dns = {
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
      default = secret "dns" "/etc/chasqui/secrets/dns";
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
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.views != [ ] && (lib.last cfg.views).clients == [ "any" ];
        message = "chasqui.dns.views: the last view must be for everybody; end the list with { name = \"everybody\"; clients = [ \"any\" ]; }.";
      }
      {
        assertion = lib.unique (map (view: view.name) cfg.views) == map (view: view.name) cfg.views;
        message = "chasqui.dns.views: two views have the same name; `${chasquiLib.dns.everybody}' is the last one's, so a region of the site file (dns.regions) needs another.";
      }
    ]
    ++ lib.mapAttrsToList (zone: z: {
      assertion = z.nameServers != [ ];
      message = "chasqui.dns.zones.\"${zone}\".nameServers: a zone needs servers; give the site file an entry under `publish' with role = \"dns\" and names.";
    }) cfg.zones
    ++ [
      (tls.outsideStore "chasqui.dns.tls" (lib.attrValues cfg.tls))
      {
        assertion = chasquiLib.notInStore cfg.transferKeys;
        message = "chasqui.dns.transferKeys: ${cfg.transferKeys} is in the Nix store, which everybody can read; name a folder on the host.";
      }
    ]
    ++ lib.optionals fromSite (
      map (pair: {
        assertion = false;
        message = "dns.regions: `${lib.head pair}' and `${lib.last pair}' both claim the same clients; take the network out of one of them.";
      }) (chasquiLib.dns.overlappingRegions site)
      ++ map (name: {
        assertion = chasquiLib.dns.nameAddresses site name != [ ];
        message = "publish: the name server ${name} has no address, because the entry has more names than addresses; add an address or take the name away.";
      }) (chasquiLib.dns.nameServers site)
      ++ map (domain: {
        assertion = site.domains.${domain}.mta_sts != "enforce" || chasquiLib.web.hasMtaSts site domain;
        message = "domains.\"${domain}\".mta_sts: nobody can fetch the policy that is to be enforced; publish the name mta-sts.${domain} with role = \"reverse-proxy\", or set it to \"none\".";
      }) (lib.attrNames site.domains)
    );
    warnings = lib.optionals fromSite (
      map (
        name:
        "publish: ${name} lies in no domain of the site, so these servers do not answer for it; somebody else's zone must."
      ) (chasquiLib.dns.foreignNames site)
      ++ map (
        name:
        "publish: ${name} has fewer than three addresses in different networks (E1); whoever cannot reach them has no second way."
      ) (lib.optionals site.redundant (chasquiLib.dns.sparseNames site))
    );

    services.bind = {
      enable = true;
      inherit (cfg) package;
      directory = cfg.stateDirectory;
      configFile = "/etc/named/named.conf";
    };
    # It answers for its own zones only: the host itself asks somebody else.
    networking.resolvconf.useLocalResolver = false;

    environment.etc = {
      "named/named.conf".text = confText;
    }
    // lib.optionalAttrs isPrimary (lib.mapAttrs (_: text: { inherit text; }) zoneTexts);

    systemd.services.bind = {
      after = [ "network-online.target" ];
      wants = [ "network-online.target" ];
      preStart =
        if isPrimary then
          installZones
        else
          "mkdir -p ${
            lib.escapeShellArgs (map (view: "${cfg.stateDirectory}/copies/${view.name}") cfg.views)
          }";
      # A changed zone is a reload: nobody goes unanswered.
      reloadTriggers = [
        (builtins.hashString "sha256" (builtins.toJSON ([ confText ] ++ lib.attrValues zoneTexts)))
      ];
      serviceConfig = {
        StateDirectory = lib.mkIf (cfg.stateDirectory == "/var/lib/named") "named";
        LoadCredential = lib.optionals exchanges (
          tls.loadCredentials cfg.tls
          ++ map (view: "tsig-${view.name}.key:${cfg.transferKeys}/${view.name}.key") cfg.views
        );
        ExecReload = lib.mkForce (
          lib.optional isPrimary installZones
          ++ [ "${lib.getExe' cfg.package "rndc"} -k /etc/bind/rndc.key reload" ]
        );
        RefreshOnReload = "credentials";
        Restart = "on-failure";
        RestartSec = "1s";
      };
    };

    services.prometheus.exporters.bind = {
      enable = true;
      inherit (page) port;
      listenAddress = "127.0.0.1";
      bindURI = "http://127.0.0.1:${toString cfg.statisticsPort}/";
    };

    chasqui = {
      openings.dns = {
        tcp = [ cfg.port ];
        udp = [ cfg.port ];
        from = [ "published" ];
      };
      openings.dns-transfer = lib.mkIf (isPrimary && exchanges) {
        tcp = [ cfg.transferPort ];
        from = map (server: server.address) cfg.secondaries;
      };
      # Secondaries are told of a change by a signed NOTIFY, and they and the primary ask each other over the service network.
      openings.dns-notify = lib.mkIf exchanges {
        tcp = [ cfg.port ];
        udp = [ cfg.port ];
        from = map (server: server.address) (if isPrimary then cfg.secondaries else [ cfg.primary ]);
      };
      metrics.dns = page;
      renewals = lib.mkIf exchanges { bind = lib.attrValues cfg.tls; };
      logTags.dns = "bind.service";
      # The DNSSEC keys: without them the zone's parents must be told of new ones.
      backupPaths = lib.mkIf (isPrimary && cfg.dnssec) { dns-keys.path = "${cfg.stateDirectory}/keys"; };
      healthChecks.dns.port = cfg.port;
    };
  };
}
