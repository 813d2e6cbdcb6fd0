# Whether a host's services answer: each is connected to as a client would, as `chasqui.healthChecks` beside it says, and monitoring is told.
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.health;
  site = config.chasqui.site.data;
  known = config.chasqui.roles != [ ];
  table = "chasqui/health";
  line =
    name: check:
    lib.concatStringsSep "|" [
      name
      cfg.address
      (toString check.port)
      (if check.expect == null then "" else check.expect)
    ]
    + "\n";
  look = pkgs.writeShellScript "chasqui-health" ''
    export PATH=${lib.makeBinPath [ pkgs.coreutils ]}
    exec ${pkgs.runtimeShell} ${./health.sh} /etc/${table} /var/lib/chasqui-metrics
  '';
in
{
  options.chasqui.health = {
    enable = mkOption {
      type = types.bool;
      default =
        known && config.chasqui.healthChecks != { } && chasquiLib.hostsWith site "monitoring" != [ ];
      defaultText = lib.literalMD "whether the host has health checks and the site a host that monitors";
      description = "Whether the host looks whether its own services answer.";
    };

    address = mkOption {
      type = types.str;
      default = if known then toString (chasquiLib.serviceAddress site config.chasqui.host) else "";
      defaultText = lib.literalMD "the address of the host's internal name";
      description = "The address at which the services are connected to.";
    };

    every = mkOption {
      type = types.str;
      default = "30s";
      description = "How often (systemd.time).";
    };
  };

  config = lib.mkIf cfg.enable {
    environment.etc.${table}.text =
      "# From what each service says of itself: name, address, port, how the greeting begins.\n"
      + lib.concatStrings (lib.mapAttrsToList line config.chasqui.healthChecks);

    systemd.timers.chasqui-health = {
      description = "Look whether this host's services answer";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "1min";
        OnUnitInactiveSec = cfg.every;
        AccuracySec = "5s";
      };
    };
    systemd.services.chasqui-health = {
      description = "Look whether this host's services answer";
      serviceConfig = {
        Type = "oneshot";
        TimeoutStartSec = 300;
        ExecStart = look;
        CapabilityBoundingSet = "";
        NoNewPrivileges = true;
        PrivateDevices = true;
        PrivateTmp = true;
        ProtectHome = true;
        ProtectSystem = "strict";
        StateDirectory = "chasqui-metrics";
        RestrictAddressFamilies = [
          "AF_INET"
          "AF_INET6"
        ];
        SystemCallFilter = [
          "@system-service"
          "~@privileged"
        ];
      };
    };
  };
}
