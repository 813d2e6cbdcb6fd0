# systemd's units, written as nixpkgs' `nixos/lib/systemd-lib.nix` writes them.
{ lib, pkgs }:
let
  inherit (import ./sections.nix { inherit lib; })
    scalar
    lines
    section
    blocks
    ;
  isUnset = value: value == null || value == "<unset>" || value == "" || value == [ ];

  ordering = {
    requires = "Requires";
    wants = "Wants";
    upholds = "Upholds";
    after = "After";
    before = "Before";
    bindsTo = "BindsTo";
    partOf = "PartOf";
    conflicts = "Conflicts";
    requisite = "Requisite";
    documentation = "Documentation";
    onFailure = "OnFailure";
    onSuccess = "OnSuccess";
    description = "Description";
    startLimitIntervalSec = "StartLimitIntervalSec";
    startLimitBurst = "StartLimitBurst";
  };
  unitSection =
    unit:
    section "Unit" (
      lib.mapAttrs' (name: key: lib.nameValuePair key (toString unit.${name})) (
        lib.filterAttrs (name: _: !isUnset (unit.${name} or null)) ordering
      )
      // unit.unitConfig or { }
    );
  installSection =
    unit:
    section "Install" (
      lib.optionalAttrs (unit.wantedBy or [ ] != [ ]) { WantedBy = toString unit.wantedBy; }
      // lib.optionalAttrs (unit.requiredBy or [ ] != [ ]) { RequiredBy = toString unit.requiredBy; }
      // lib.optionalAttrs (unit.aliases or [ ] != [ ]) { Alias = toString unit.aliases; }
    );
  unitText = unit: middle: blocks ([ (unitSection unit) ] ++ middle ++ [ (installSection unit) ]);

  job =
    unit: name: text:
    "${pkgs.writeShellScript "unit-script-${lib.replaceStrings [ "@" ] [ "_" ] unit}-${name}" "set -e\n\n${text}"}";
  isWhole =
    unit:
    (unit.script or "" != "" && unit.script != "<unset>")
    || lib.any (key: (unit.serviceConfig or { }) ? ${key}) [
      "ExecStart"
      "ExecStop"
      "BusName"
    ];
  service =
    name: unit:
    let
      said = key: unit.${key} or "" != "" && unit.${key} != "<unset>";
      scripts = lib.filterAttrs (_: value: value != [ ]) {
        ExecStartPre = lib.optional (said "preStart") (job name "pre-start" unit.preStart);
        ExecStart = lib.optional (said "script") (
          job name "start" unit.script + lib.optionalString (said "scriptArgs") " ${unit.scriptArgs}"
        );
        ExecStartPost = lib.optional (said "postStart") (job name "post-start" unit.postStart);
        ExecReload = lib.optional (said "reload") (job name "reload" unit.reload);
        ExecStop = lib.optional (said "preStop") (job name "pre-stop" unit.preStop);
        ExecStopPost = lib.optional (said "postStop") (job name "post-stop" unit.postStop);
      };
      path = (unit.path or [ ]) ++ [
        pkgs.coreutils
        pkgs.findutils
        pkgs.gnugrep
        pkgs.gnused
        pkgs.systemd
      ];
      directories =
        lib.concatMap (package: [ "${package}/bin" ]) path
        ++ lib.concatMap (package: [ "${package}/sbin" ]) path;
      environment =
        lib.optionalAttrs (isWhole unit) { PATH = lib.concatStringsSep ":" directories; }
        // lib.filterAttrs (_: value: value != null) (unit.environment or { });
    in
    unitText unit [
      (
        # An addition without settings for the service has no such section.
        lib.optionalString (
          isWhole unit || environment != { } || scripts != { } || unit.serviceConfig or { } != { }
        ) "[Service]\n"
        + lib.concatStrings (
          lib.mapAttrsToList (
            key: value: "Environment=${builtins.toJSON "${key}=${scalar value}"}\n"
          ) environment
        )
        + lines (scripts // (unit.serviceConfig or { }))
      )
    ];
  socket =
    _: unit:
    unitText unit [
      (section "Socket" (
        unit.socketConfig or { }
        // lib.optionalAttrs (unit.listenStreams or [ ] != [ ]) { ListenStream = unit.listenStreams; }
        // lib.optionalAttrs (unit.listenDatagrams or [ ] != [ ]) { ListenDatagram = unit.listenDatagrams; }
      ))
    ];
  plainUnit =
    title: key: _: unit:
    unitText unit [ (section title (unit.${key} or { })) ];
  mount =
    unit:
    unitText unit [
      (section "Mount" (
        {
          What = unit.what;
          Where = unit.where;
        }
        // lib.optionalAttrs (!isUnset (unit.type or null)) { Type = unit.type; }
        // lib.optionalAttrs (!isUnset (unit.options or null)) { Options = unit.options; }
        // unit.mountConfig or { }
      ))
    ];
  automount =
    unit:
    unitText unit [ (section "Automount" ({ Where = unit.where; } // unit.automountConfig or { })) ];
  # `/var/lib/mail-1` is `var-lib-mail\x2d1`.
  escapePath =
    path:
    if path == "/" then
      "-"
    else
      lib.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (lib.removeSuffix "/" (lib.removePrefix "/" path));

  enabled = lib.filterAttrs (_: unit: unit.enable or true != false);
  # The names that somebody set, with all of their values.
  chosen =
    config: set: kind:
    enabled (builtins.intersectAttrs (set.systemd.${kind} or { }) config.systemd.${kind});
  units =
    config: set:
    let
      of =
        kind: suffix: write:
        lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${suffix}" (write name unit)) (
          chosen config set kind
        );
      places =
        kind: suffix: write:
        builtins.listToAttrs (
          map (unit: lib.nameValuePair "${escapePath unit.where}.${suffix}" (write unit)) (
            set.systemd.${kind} or [ ]
          )
        );
      startAt = lib.filterAttrs (_: unit: !isUnset (unit.startAt or null)) (chosen config set "services");
    in
    lib.mapAttrs' (name: lib.nameValuePair "etc/systemd/system/${name}") (
      lib.mapAttrs' (
        name: unit:
        lib.nameValuePair "${name}.timer" (
          unitText {
            wantedBy = [ "timers.target" ];
          } [ (section "Timer" { OnCalendar = unit.startAt; }) ]
        )
      ) startAt
      // lib.mapAttrs' (
        name: unit:
        # What is set beside a unit of NixOS' own or of a package.
        lib.nameValuePair (if isWhole unit then "${name}.service" else "${name}.service.d/overrides.conf") (
          service name unit
        )
      ) (chosen config set "services")
      // of "sockets" "socket" socket
      // of "timers" "timer" (plainUnit "Timer" "timerConfig")
      // of "paths" "path" (plainUnit "Path" "pathConfig")
      // of "slices" "slice" (plainUnit "Slice" "sliceConfig")
      // of "targets" "target" (_: unit: unitText unit [ ])
      // places "mounts" "mount" mount
      // places "automounts" "automount" automount
    );
in
units
