# A host's certificates (E19): what they must say derives from the site; a daily look tells when one is missing, wrong or about to end, and
# services take a renewed one over by themselves, but for the database's (each restart moves its primary). modules/lib/pki.nix has the commands that issue them, on the host that holds the authority's key.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.pki;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  table = "chasqui/certificates";

  check = pkgs.writeShellScript "chasqui-pki-check" ''
    export PATH=${
      lib.makeBinPath [
        pkgs.coreutils
        pkgs.gnugrep
        pkgs.openssl
      ]
    }
    exec ${pkgs.runtimeShell} ${./pki-check.sh} /etc/${table} /var/lib/chasqui-metrics
  '';
in
{
  options.chasqui.pki = {
    enable = mkOption {
      type = types.bool;
      default = known;
      defaultText = lib.literalMD "whether this is a host of a site file";
      description = "Whether the host looks after its certificates.";
    };

    at = mkOption {
      type = types.str;
      default = "daily";
      description = "When it looks at them (systemd calendar).";
    };

    certificates = mkOption {
      default = if known then chasquiLib.pki.certificatesOf site host else { };
      defaultText = lib.literalMD "from the site file";
      description = "The certificates, by what they are for.";
      type = types.attrsOf (
        types.submodule {
          options = {
            certificate = mkOption {
              type = types.str;
              description = "The file, PEM.";
            };
            key = mkOption {
              type = types.str;
              description = "Its private key, outside the Nix store.";
            };
            authority = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "The certificate of the authority that it must be of. Default any.";
            };
            names = mkOption {
              type = types.listOf types.str;
              description = "The names that it must have.";
            };
            roles = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The roles of Chasqui that it must grant.";
            };
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.mapAttrsToList (kind: certificate: {
      assertion = chasquiLib.notInStore certificate.key;
      message = "chasqui.pki.certificates.${kind}.key: ${certificate.key} is in the Nix store, which everybody can read; name a path on the host.";
    }) cfg.certificates;

    environment.etc.${table}.text = chasquiLib.pki.table (
      if host == null then "HOST" else host
    ) cfg.certificates;

    systemd.services = {
      chasqui-pki-check = {
        description = "Look at this host's certificates";
        serviceConfig = {
          Type = "oneshot";
          ExecStart = check;
          ReadWritePaths = [ "-/var/lib/chasqui-metrics" ];
          ProtectSystem = "strict";
          ProtectHome = true;
          PrivateTmp = true;
          PrivateNetwork = true;
          PrivateDevices = true;
          NoNewPrivileges = true;
          # Keys of public certificates may belong to the user that fetches them.
          CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
          SystemCallErrorNumber = "EPERM";
          SystemCallFilter = [
            "@system-service"
            "~@privileged"
          ];
        };
      };
    };

    systemd.timers.chasqui-pki-check = {
      description = "Look at this host's certificates";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.at;
        # Whoever was away at the hour looks when it is back.
        Persistent = true;
        RandomizedDelaySec = "1h";
      };
    };
  };
}
