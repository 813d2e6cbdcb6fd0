# A machine in a chassis (E10), or in a rack: nobody stands beside it. It has its firmware, restarts by itself when it hangs, shows its console on
# the serial port, which the chassis passes on, and tells its temperatures and voltages.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.blade;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  isXen = config.chasqui.xenHost.enable or false;
in
{
  options.chasqui.blade = {
    enable = mkOption {
      type = types.bool;
      default =
        known && !site.hosts.${host}.guest && site.machines.${site.hosts.${host}.machine}.chassis != null;
      defaultText = lib.literalMD "whether the site file says that this host is the system of a machine in a chassis";
      description = "Whether this host is a blade (E10).";
    };

    serial = mkOption {
      type = types.nullOr (types.strMatching "ttyS[0-9]+");
      default = "ttyS0";
      description = "The serial port that the chassis passes on. Null: none.";
    };

    speed = mkOption {
      type = types.enum [
        9600
        19200
        38400
        57600
        115200
      ];
      default = 115200;
      description = "Its bits a second.";
    };

    watchdog = mkOption {
      type = types.nullOr types.str;
      default = "30s";
      description = "After how long without a sign of life the hardware restarts the machine. On a Xen host the hypervisor's watchdog does so. Null: never.";
    };

    ipmi = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the node exporter is given what the machine's own controller measures: temperatures, voltages, fans, power supplies.";
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !known || !site.hosts.${host}.guest;
        message = "chasqui.blade.enable: hosts.${toString host} is a Xen guest, and a guest has no hardware; leave the option to the site file.";
      }
    ];

    hardware.enableRedistributableFirmware = true;
    hardware.cpu.amd.updateMicrocode = true;
    hardware.cpu.intel.updateMicrocode = true;

    boot.kernelParams =
      lib.optional (cfg.serial != null && !isXen) "console=${toString cfg.serial},${toString cfg.speed}n8"
      # Under Xen the hypervisor has the serial port, and passes its own system's console through.
      ++ lib.optional isXen "console=hvc0"
      ++ [
        # A kernel that lost its senses restarts after ten seconds.
        "panic=10"
      ];
    boot.kernel.sysctl = {
      "kernel.panic_on_oops" = 1;
      # Nobody starts another kernel from this one.
      "kernel.kexec_load_disabled" = 1;
    };
    systemd.settings.Manager = lib.mkIf (cfg.watchdog != null && !isXen) {
      RuntimeWatchdogSec = cfg.watchdog;
      RebootWatchdogSec = "5min";
    };

    boot.kernelModules = lib.optionals cfg.ipmi [
      "ipmi_devintf"
      "ipmi_si"
    ];
    systemd.services.chasqui-blade-metrics = lib.mkIf cfg.ipmi {
      description = "What the machine's own controller measures, for monitoring";
      startAt = "*:0/1";
      # A machine without such a controller has nothing to tell.
      unitConfig.ConditionPathExists = "/dev/ipmi0";
      path = [
        pkgs.freeipmi
        pkgs.gawk
      ];
      script = ''
        new=$(mktemp /var/lib/chasqui-metrics/.blade.XXXXXX)
        chmod 644 "$new"
        # Number, name, kind, state, reading, unit, event.
        ipmi-sensors --sdr-cache-directory="$CACHE_DIRECTORY" --comma-separated-output --no-header-output --ignore-not-available-sensors --output-sensor-state |
          awk -F, '{
            printf "chasqui_blade_sensor_nominal{name=\"%s\",kind=\"%s\"} %d\n", $2, $3, $4 == "Nominal"
            if ($5 != "N/A") printf "chasqui_blade_sensor{name=\"%s\",kind=\"%s\",unit=\"%s\"} %s\n", $2, $3, $6, $5
          }' > "$new"
        mv "$new" /var/lib/chasqui-metrics/blade.prom
      '';
      serviceConfig = {
        Type = "oneshot";
        Nice = 10;
        DeviceAllow = [ "/dev/ipmi0 rw" ];
        DevicePolicy = "closed";
        CapabilityBoundingSet = [ "CAP_SYS_RAWIO" ];
        LockPersonality = true;
        NoNewPrivileges = true;
        PrivateNetwork = true;
        PrivateTmp = true;
        ProtectHome = true;
        ProtectKernelTunables = true;
        ProtectSystem = "strict";
        CacheDirectory = "chasqui-blade";
        StateDirectory = "chasqui-metrics";
        StateDirectoryMode = "0755";
        RestrictNamespaces = true;
        SystemCallArchitectures = "native";
      };
    };
  };
}
