# OpenLDAP (E11): accounts and per-user settings, a branch for each mail domain, writable on every provider.
{
  config,
  lib,
  chasquiLib,
  pkgs,
  ...
}:
let
  cfg = config.chasqui.ldap;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  inherit (chasquiLib) ldap;
  hasRole = lib.elem "ldap" config.chasqui.roles;
  derived = if hasRole then ldap.fromSite site host else null;
  credentials = "/run/credentials/openldap.service";
  self = lib.findFirst (provider: provider.name == cfg.name) null cfg.providers;
  base = pkgs.writeText "base.ldif" (ldap.baseLdif { inherit (cfg) suffix domains organization; });
in
{
  options.chasqui.ldap = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = hasRole;
      defaultText = lib.literalMD "whether the site file gives this host the role `ldap`";
      description = "Whether this host is a provider of the LDAP directory.";
    };

    suffix = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = if derived != null then derived.suffix else null;
      defaultText = lib.literalMD "`ldap.suffix` of the site file";
      example = "dc=gob,dc=example";
      description = "The root of the tree.";
    };

    organization = lib.mkOption {
      type = lib.types.str;
      default = if derived != null then derived.organization else "chasqui";
      defaultText = lib.literalMD "the site's description";
      description = "The organization's name in the root entry.";
    };

    name = lib.mkOption {
      type = lib.types.str;
      default = if derived != null then derived.name else config.networking.hostName;
      defaultText = lib.literalMD "the host's name";
      description = "This provider's name.";
    };

    providers = lib.mkOption {
      default = if derived != null then derived.providers else [ ];
      defaultText = lib.literalMD "the site's hosts with the role `ldap`";
      description = "All providers, this one too, always in the same order: their numbers in the protocol are their places.";
      type = lib.types.listOf (
        lib.types.submodule {
          options = {
            name = lib.mkOption {
              type = lib.types.str;
              description = "The common name of its certificate.";
            };
            fqdn = lib.mkOption {
              type = lib.types.str;
              description = "Where it is reached, a name in its certificate.";
            };
          };
        }
      );
    };

    domains = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = if derived != null then derived.domains else [ ];
      defaultText = lib.literalMD "the site's mail domains";
      description = "Mail domains, a branch of the tree each.";
    };

    tls = tls.options;
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion =
          cfg.suffix != null && builtins.match "(dc|o)=[^,=]+(,[a-z]+=[^,=]+)*" cfg.suffix != null;
        message = "chasqui.ldap.suffix: ${
          if cfg.suffix == null then "there is none" else "`${cfg.suffix}' cannot be the root of a tree"
        }; set it to something like dc=gob,dc=example (`ldap.suffix` in the site file).";
      }
      {
        assertion = self != null;
        message = "chasqui.ldap.providers: this host, `${cfg.name}', is not among the providers; add it, or set chasqui.ldap.name.";
      }
      (tls.outsideStore "chasqui.ldap.tls" (lib.attrValues cfg.tls))
    ];

    services.openldap = {
      enable = true;
      urlList = lib.optional (self != null) (ldap.url self) ++ [ "ldapi:///" ];
      settings = ldap.settings {
        suffix = if cfg.suffix == null then "" else cfg.suffix;
        inherit (cfg) name providers;
        inherit credentials;
        dataDir = "/var/lib/openldap/data";
        schemas = map (schema: "${pkgs.openldap}/etc/schema/${schema}.ldif") [
          "core"
          "cosine"
          "inetorgperson"
          "nis"
        ];
      };
    };
    systemd.services.openldap = {
      # The address that it listens on may come late.
      wants = [ "network-online.target" ];
      startLimitIntervalSec = 0;
      serviceConfig = {
        LoadCredential = tls.loadCredentials cfg.tls;
        Restart = "on-failure";
        RestartSec = "5s";
      };
    };

    # Only the first provider begins the tree, and only what is missing is added: the others get it by replication.
    systemd.services.openldap-base = lib.mkIf (self != null && self == lib.head cfg.providers) {
      description = "First entries of the LDAP directory";
      wantedBy = [ "multi-user.target" ];
      after = [ "openldap.service" ];
      requires = [ "openldap.service" ];
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        # 68: entryAlreadyExists, the usual case.
        SuccessExitStatus = 68;
        ExecStart = "${pkgs.openldap}/bin/ldapadd -c -Q -Y EXTERNAL -H ldapi:/// -f ${base}";
      };
    };

    chasqui.openings.ldap = {
      tcp = [ 636 ];
      from = [ "kind:service" ];
    };
    chasqui.renewals.openldap = lib.attrValues cfg.tls;
    chasqui.logTags.openldap = "openldap.service";
    chasqui.backupPaths.ldap = {
      path = "/var/backup/ldap";
      before = "${pkgs.bash}/bin/sh -c 'install -d -m 0700 /var/backup/ldap && ${pkgs.openldap}/bin/slapcat -F /etc/openldap/slapd.d -b ${
        if cfg.suffix == null then "" else cfg.suffix
      } -l /var/backup/ldap/all.ldif.new && mv /var/backup/ldap/all.ldif.new /var/backup/ldap/all.ldif'";
    };
  };
}
