# What the modules of the roles have in common: options, the checked configuration file, the unit, credentials and assertions. Each
# role's own module says what differs, by the arguments below.
#
# Every role runs as a user of its own, `chasqui-ROLE`: an exchanger that was broken into cannot read the mailboxes or the accounts of a
# host that has several roles.
#
# Keys and certificates stay where the site file says and belong to root. systemd hands the unit copies of them (LoadCredential), which the
# role alone can read, and the configuration file names the copies. Renewed ones reach it without a restart: modules/renewals.nix.
{
  config,
  lib,
  pkgs,
  chasquiLib,
}:
{
  # The role's name in the binary and in the site file.
  role,
  # What it is, for texts: "the mail exchanger".
  title,
  # Settings that derive from the site, without priorities; { } without a site.
  derived,
  # Where the settings name the directory's keys.
  keys ? [
    "directory"
    "keys"
  ],
  # The top-level settings that SIGHUP puts in force. A change of another one restarts the role.
  reloadable,
  # The keys of the settings that hold listening addresses, and the table without which they must be on loopback.
  listens,
  certificate,
  # Further attributes of the unit's serviceConfig, assertions, and configuration.
  serviceConfig ? { },
  assertions ? [ ],
  extra ? { },
}:
let
  inherit (lib) mkOption types;
  cfg = config.services.chasqui.${role};
  name = "chasqui-${role}";
  option = "services.chasqui.${role}";
  generator = import ../lib/options.nix { inherit lib; };
  format = pkgs.formats.toml { };
  site = config.chasqui.site.data;

  withPriority =
    priority: value:
    if lib.isAttrs value then
      lib.mapAttrs (_: withPriority priority) value
    else
      lib.mkOverride priority value;

  settings = generator.present cfg.settings;
  at = path: lib.attrByPath path null settings;
  # Files that are handed over as credentials, and where the settings name them; a role has those that its settings have.
  credentials = {
    "directory.keys" = keys;
    "ca.crt" = [
      "tls"
      "ca"
    ];
    "role.crt" = [
      "tls"
      "certificate"
    ];
    "role.key" = [
      "tls"
      "key"
    ];
    "public.crt" = [
      "public_tls"
      "certificate"
    ];
    "public.key" = [
      "public_tls"
      "key"
    ];
  };
  used = lib.filterAttrs (_: path: at path != null) credentials;
  # The configuration names the unit's own copies.
  handed = lib.foldl' lib.recursiveUpdate settings (
    lib.mapAttrsToList (
      credential: path: lib.setAttrByPath path "/run/credentials/${name}.service/${credential}"
    ) used
  );

  addresses = lib.concatMap (
    key:
    let
      value = settings.${key} or null;
    in
    map (address: { inherit key address; }) (
      if value == null then
        [ ]
      else if lib.isList value then
        value
      else
        [ value ]
    )
  ) listens;
  isLocal =
    address:
    lib.hasPrefix "unix:" address
    || builtins.match "(127\\.[0-9.]+|\\[::1]|localhost):[0-9]+" address != null;
  portOf =
    address:
    let
      port = builtins.match ".*:([0-9]+)" address;
    in
    if lib.hasPrefix "unix:" address || port == null then null else lib.toInt (lib.head port);
  openAddresses = lib.filter (entry: !(isLocal entry.address)) addresses;
  lowPorts = lib.any (entry: portOf entry.address != null && portOf entry.address < 1024) addresses;
  servers = settings.directory.servers or [ ];
in
{
  inherit
    addresses
    cfg
    portOf
    settings
    ;
  # The ports that others may connect to, of these keys of the settings.
  openPorts =
    keys:
    lib.unique (
      lib.filter (port: port != null) (
        map (entry: portOf entry.address) (lib.filter (entry: lib.elem entry.key keys) openAddresses)
      )
    );

  options.services.chasqui.${role} = {
    enable = mkOption {
      type = types.bool;
      default = lib.elem role config.chasqui.roles;
      defaultText = lib.literalMD "whether the site file gives this host the role `${role}`";
      description = "Whether to run ${title}.";
    };

    package = mkOption {
      type = types.package;
      default = config.services.chasqui.package;
      defaultText = lib.literalExpression "config.services.chasqui.package";
      description = "The package that ${title} runs from.";
    };

    settings = mkOption {
      inherit (generator.fromSchema (lib.importJSON ./schema/${role}.json) format.type) type;
      default = { };
      description = ''
        The configuration file, `/etc/chasqui/${role}.toml`. What is not set here, nor derived from the site file, has the binary's default.
        Files of keys and certificates are given as they lie on the host; the role gets its own copies of them.
      '';
    };

    log = mkOption {
      type = types.str;
      default = "info";
      example = "info,chasqui_${role}=debug";
      description = "What is logged, to the journal.";
    };

    configFile = mkOption {
      type = types.path;
      readOnly = true;
      default = pkgs.runCommand "chasqui-${role}.toml" {
        generated = format.generate "chasqui-${role}.toml" handed;
      } "${lib.getExe cfg.package} config check ${role} $generated && cp $generated $out";
      defaultText = lib.literalMD "made from `settings`";
      description = "The configuration file, judged by `chasqui config check` when it is built.";
    };
  };

  config = lib.mkIf cfg.enable (
    lib.mkMerge [
      {
        # A host's own Nix file has the last word, then `[settings.${role}]` of the site file, then what derives from the site.
        services.chasqui.${role}.settings = lib.mkMerge [
          (withPriority 1000 derived)
          (withPriority 900 (if site == null then { } else site.settings.${role} or { }))
        ];
        assertions =
          lib.mapAttrsToList (_: path: {
            assertion = chasquiLib.notInStore (at path);
            message = "${option}.settings.${lib.concatStringsSep "." path}: ${toString (at path)} is in the Nix store, which everybody may read; write the path as a string, of a file that you copy to the host yourself.";
          }) used
          ++ map (entry: {
            assertion = settings ? ${certificate};
            message = "${option}.settings.${entry.key}: ${entry.address} is not on loopback, and nothing there may be in clear; set ${option}.settings.${certificate}, or listen on 127.0.0.1.";
          }) openAddresses
          ++ [
            {
              assertion = !(settings ? metrics) || isLocal settings.metrics;
              message = "${option}.settings.metrics: ${
                toString (settings.metrics or "")
              } is not on loopback, and the page is in clear; set it to 127.0.0.1 and let chasqui.monitoring forward it.";
            }
          ]
          ++ lib.optionals (cfg.settings ? directory) [
            {
              assertion = servers != [ ];
              message = "${option}.settings.directory.servers: ${title} asks the directory about every address, but none is named; give a host the role `directory' in the site file, or set the list.";
            }
            {
              assertion = settings ? tls || lib.all isLocal servers;
              message = "${option}.settings.directory.servers: ${lib.concatStringsSep ", " servers} is not on this host and may only be asked over TLS; set ${option}.settings.tls.";
            }
          ]
          ++ assertions;

        environment.etc."chasqui/${role}.toml".source = cfg.configFile;

        users.users.${name} = {
          isSystemUser = true;
          group = name;
          description = "Chasqui, ${title}";
        };
        users.groups.${name} = { };

        systemd.services.${name} = {
          description = "Chasqui, ${title}";
          documentation = [ "man:chasqui(1)" ];
          after = [ "network-online.target" ];
          wants = [ "network-online.target" ];
          wantedBy = [ "multi-user.target" ];
          # What SIGHUP does not change restarts the role.
          restartTriggers = [ (builtins.toJSON (removeAttrs settings reloadable)) ];
          reloadTriggers = [ cfg.configFile ];
          # It is tried again for as long as it takes: a directory server or a file system may come back at any time.
          startLimitIntervalSec = 0;
          serviceConfig = {
            Type = "notify-reload";
            ExecStart = "${lib.getExe cfg.package} ${role} --config /etc/chasqui/${role}.toml --log ${cfg.log}";
            Restart = "on-failure";
            RestartSec = 2;
            # The binary itself ends what is open after 30 seconds.
            TimeoutStopSec = 40;
            WatchdogSec = 30;
            User = name;
            Group = name;
            UMask = "0077";
            LimitNOFILE = 524288;
            LoadCredential = lib.mapAttrsToList (credential: path: "${credential}:${at path}") used;
            RefreshOnReload = "credentials";

            AmbientCapabilities = lib.optional lowPorts "CAP_NET_BIND_SERVICE";
            CapabilityBoundingSet = if lowPorts then [ "CAP_NET_BIND_SERVICE" ] else [ "" ];
            DevicePolicy = "closed";
            LockPersonality = true;
            MemoryDenyWriteExecute = true;
            NoNewPrivileges = true;
            PrivateDevices = true;
            PrivateTmp = true;
            # A port below 1024 is bound in the host's user namespace.
            PrivateUsers = !lowPorts;
            ProcSubset = "pid";
            ProtectClock = true;
            ProtectControlGroups = true;
            ProtectHome = true;
            ProtectHostname = true;
            ProtectKernelLogs = true;
            ProtectKernelModules = true;
            ProtectKernelTunables = true;
            ProtectProc = "invisible";
            ProtectSystem = "strict";
            RemoveIPC = true;
            RestrictAddressFamilies = [
              "AF_INET"
              "AF_INET6"
              "AF_UNIX"
            ];
            RestrictNamespaces = true;
            RestrictRealtime = true;
            RestrictSUIDSGID = true;
            SystemCallArchitectures = "native";
            SystemCallErrorNumber = "EPERM";
            SystemCallFilter = [
              "@system-service"
              "~@privileged"
            ];
          }
          // serviceConfig;
        };

        chasqui.renewals.${name} = lib.mapAttrsToList (_: at) used;
        chasqui.logTags.${role} = "${name}.service";
        chasqui.metrics = lib.mkIf (settings ? metrics && portOf settings.metrics != null) {
          ${role} = import (./. + "/${role}.metrics.nix") // {
            port = portOf settings.metrics;
          };
        };
      }
      extra
    ]
  );
}
