# Copies of the directory's database (S5b): one directory server of a site has the accounts, the others fetch a whole copy whenever something
# changed, and read it as they read their own changes. Only a certificate with the role `directory` is served (E19).
#
# A copy is at most half a minute old. While the first server is away nobody can add accounts; look-ups and log-ins go on.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  cfg = config.services.chasqui.directory;
  copies = cfg.copies;
  tls = import ../tls-options.nix { inherit config lib chasquiLib; };
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  hasRole = lib.elem "directory" config.chasqui.roles;
  servers = if hasRole then chasquiLib.hostsWith site "directory" else [ ];
  first = lib.head servers;
  database = cfg.settings.database.path;
  socket = "/run/chasqui-directory-copies.sock";
  sqlite = lib.getExe' pkgs.sqlite "sqlite3";
  coreutils = lib.getExe' pkgs.coreutils;
  # Names a state of the database: the last change, or nothing when there is none.
  state = "SELECT seq || ' ' || kind || ' ' || subject FROM change ORDER BY seq DESC LIMIT 1";
  user = {
    User = "chasqui-directory";
    Group = "chasqui-directory";
    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    NoNewPrivileges = true;
    CapabilityBoundingSet = "";
    ProtectKernelTunables = true;
    ProtectKernelModules = true;
    ProtectControlGroups = true;
    RestrictNamespaces = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    SystemCallErrorNumber = "EPERM";
    SystemCallFilter = [
      "@system-service"
      "~@privileged"
    ];
    UMask = "0077";
    ReadWritePaths = [ (dirOf database) ];
  };
in
{
  imports = [ ./directory.nix ];

  options.services.chasqui.directory.copies = {
    serve = lib.mkOption {
      type = lib.types.bool;
      default = lib.length servers > 1 && host == first;
      defaultText = lib.literalMD "whether this is the first of several directory servers of the site";
      description = "Whether this server has the accounts, and gives copies of them to the others.";
    };

    from = lib.mkOption {
      type = lib.types.nullOr lib.types.str;
      default = if lib.length servers > 1 && host != first then chasquiLib.fqdn site first else null;
      defaultText = lib.literalMD "the first directory server of the site, on the others";
      description = "The server that copies come from, a name in its certificate. What is changed here is lost with the next copy.";
    };

    address = lib.mkOption {
      type = lib.types.str;
      default = if hasRole then toString (chasquiLib.serviceAddress site host) else "";
      defaultText = lib.literalMD "the address of the host's internal name";
      description = "Where copies are given out.";
    };

    port = lib.mkOption {
      type = lib.types.port;
      default = 1703;
      description = "The TCP port for copies, the same on all servers.";
    };

    tls = tls.options;
  };

  config = lib.mkMerge [
    (lib.mkIf (cfg.enable && copies.serve) {
      assertions = [
        {
          assertion = copies.from == null;
          message = "services.chasqui.directory.copies: this host cannot both give copies (`serve') and take them (`from'); set `serve' on the one server that has the accounts.";
        }
        (tls.outsideStore "services.chasqui.directory.copies.tls" (lib.attrValues copies.tls))
      ];

      services.ghostunnel = {
        enable = true;
        servers.directory-copies = {
          listen = "${copies.address}:${toString copies.port}";
          target = "unix:${socket}";
          cert = copies.tls.certificate;
          inherit (copies.tls) key;
          cacert = copies.tls.ca;
          allowURI = [ "urn:chasqui:role:directory" ];
        };
      };
      systemd.services.ghostunnel-server-directory-copies = {
        # The address that it listens on may come late.
        after = [ "network-online.target" ];
        wants = [ "network-online.target" ];
        startLimitIntervalSec = 0;
        serviceConfig = {
          SupplementaryGroups = [ "chasqui-directory" ];
          RestartSec = "5s";
        };
      };

      systemd.sockets.chasqui-directory-copies = {
        description = "Copies of the directory's database";
        wantedBy = [ "sockets.target" ];
        socketConfig = {
          ListenStream = socket;
          SocketMode = "0660";
          SocketUser = "root";
          SocketGroup = "chasqui-directory";
          Accept = true;
          MaxConnections = 4;
        };
      };
      systemd.services."chasqui-directory-copies@" = {
        description = "Gives out a copy of the directory's database";
        serviceConfig = user // {
          StandardInput = "socket";
          StandardOutput = "socket";
          StandardError = "journal";
          RuntimeMaxSec = 300;
          PrivateNetwork = true;
          # The client says which state it has; if that is the state of now, it is told so.
          ExecStart = pkgs.writeShellScript "chasqui-directory-give" ''
            set -eu
            umask 077
            read -r -t 10 has || exit 0
            now=$(${sqlite} -readonly ${database} "${state}")
            [ "$has" != "$now" ] || { echo unchanged; exit 0; }
            work=$(${coreutils "mktemp"} -d)
            trap '${coreutils "rm"} -rf "$work"' EXIT
            ${sqlite} ${database} "VACUUM INTO '$work/copy'"
            ${coreutils "cat"} "$work/copy"
          '';
        };
      };

      chasqui.openings.directory-copies = {
        tcp = [ copies.port ];
        from = [ "role:directory" ];
      };
    })

    (lib.mkIf (cfg.enable && copies.from != null) {
      systemd.timers.chasqui-directory-copy = {
        description = "Fetches a copy of the directory's database when something changed";
        wantedBy = [ "timers.target" ];
        timerConfig = {
          OnActiveSec = "1s";
          OnUnitInactiveSec = "30s";
          AccuracySec = "1s";
        };
      };
      systemd.services.chasqui-directory-copy = {
        description = "Fetches a copy of the directory's database";
        after = [
          "network-online.target"
          "chasqui-directory.service"
        ];
        wants = [ "network-online.target" ];
        serviceConfig = user // {
          Type = "oneshot";
          TimeoutStartSec = 300;
          LoadCredential = tls.loadCredentials copies.tls;
          # A copy that was cut off is not whole and is thrown away. `.restore' writes one transaction, which the running server follows.
          ExecStart = pkgs.writeShellScript "chasqui-directory-fetch" ''
            set -eu
            umask 077
            work=$(${coreutils "mktemp"} -d)
            trap '${coreutils "rm"} -rf "$work"' EXIT
            has=$(${sqlite} -readonly ${database} "${state}" 2>/dev/null || true)
            printf '%s\n' "$has" | ${lib.getExe pkgs.openssl} s_client -quiet -verify_quiet -verify_return_error \
              -connect ${copies.from}:${toString copies.port} -servername ${copies.from} -verify_hostname ${copies.from} \
              -CAfile "$CREDENTIALS_DIRECTORY/ca.crt" -cert "$CREDENTIALS_DIRECTORY/host.crt" -key "$CREDENTIALS_DIRECTORY/host.key" >"$work/copy"
            [ "$(${coreutils "head"} -c 10 "$work/copy" | ${coreutils "tr"} -d '\0')" != unchanged ] || exit 0
            [ -s "$work/copy" ] || { echo "${copies.from} gave no copy; its journal says why" >&2; exit 1; }
            whole=$(${sqlite} -readonly "$work/copy" "PRAGMA integrity_check")
            [ "$whole" = ok ] || { echo "the copy from ${copies.from} is not whole: $whole" >&2; exit 1; }
            ${sqlite} -cmd ".timeout 20000" ${database} ".restore $work/copy"
            echo "took over a copy of the accounts: $(${sqlite} -readonly ${database} "${state}")"
          '';
        };
      };
    })
  ];
}
