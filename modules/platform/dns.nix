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
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  cfg = config.chasqui.dns;
  site = config.chasqui.site.data;
  fromSite = lib.elem "dns" config.chasqui.roles;
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
      text = builtins.readFile ./dns/install.sh;
    }
  );
  installZones = lib.optionalString isPrimary "${install} /etc/named/zones ${cfg.stateDirectory}";

in
{
  options.chasqui.dns = import ./dns/options.nix {
    inherit
      config
      lib
      pkgs
      chasquiLib
      ;
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
      # The name under which it writes to the journal itself.
      logTags.named = "bind.service";
      # The DNSSEC keys: without them the zone's parents must be told of new ones.
      backupPaths = lib.mkIf (isPrimary && cfg.dnssec) { dns-keys.path = "${cfg.stateDirectory}/keys"; };
      healthChecks.dns.port = cfg.port;
    };
  };
}
