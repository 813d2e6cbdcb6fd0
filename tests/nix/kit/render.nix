# The files that NixOS writes from its options, as far as our modules set them: units, networkd's files, the packet filter, /etc.
# It follows nixpkgs' own writers (`nixos/lib/systemd-lib.nix` and the modules named below), so that the same text goes through
# the real programs' checks here and lies on a host there.
#
# `files config set` is an attribute set from paths, relative to the host's root, to texts or to `{ link = file; }`.
{ lib, pkgs }:
let
  services = import ./render-services.nix { inherit lib pkgs; };

  scalar =
    value:
    if builtins.isBool value then lib.boolToString value else toString value;
  # Lines of a section; a list is a line each.
  lines =
    attributes:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: value: lib.concatMapStrings (item: "${name}=${scalar item}\n") (if builtins.isList value then value else [ value ])
      ) (lib.filterAttrs (_: value: value != null) attributes)
    );
  section = name: attributes: lib.optionalString (attributes != { }) "[${name}]\n${lines attributes}";
  blocks = texts: lib.concatStringsSep "\n" (builtins.filter (text: text != "") texts);
  prefixed = prefix: lib.mapAttrs' (name: lib.nameValuePair (prefix + name));
  isUnset = value: value == null || value == "<unset>" || value == "" || value == [ ];

  # ---- systemd units (nixos/lib/systemd-lib.nix) ----

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

  job = unit: name: text: "${pkgs.writeShellScript "unit-script-${lib.replaceStrings [ "@" ] [ "_" ] unit}-${name}" "set -e\n\n${text}"}";
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
        ExecStart = lib.optional (said "script") (job name "start" unit.script + lib.optionalString (said "scriptArgs") " ${unit.scriptArgs}");
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
      directories = lib.concatMap (package: [ "${package}/bin" ]) path ++ lib.concatMap (package: [ "${package}/sbin" ]) path;
      environment =
        lib.optionalAttrs (isWhole unit) { PATH = lib.concatStringsSep ":" directories; }
      // lib.filterAttrs (_: value: value != null) (unit.environment or { });
    in
    unitText unit [
      (
        # An addition without settings for the service has no such section.
        lib.optionalString (isWhole unit || environment != { } || scripts != { } || unit.serviceConfig or { } != { }) "[Service]\n"
        + lib.concatStrings (lib.mapAttrsToList (key: value: "Environment=${builtins.toJSON "${key}=${scalar value}"}\n") environment)
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
  plainUnit = title: key: _: unit: unitText unit [ (section title (unit.${key} or { })) ];
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
    unit: unitText unit [ (section "Automount" ({ Where = unit.where; } // unit.automountConfig or { })) ];
  # `/var/lib/mail-1` is `var-lib-mail\x2d1`.
  escapePath =
    path:
    if path == "/" then
      "-"
    else
      lib.replaceStrings [ "-" "/" ] [ "\\x2d" "-" ] (lib.removeSuffix "/" (lib.removePrefix "/" path));

  enabled = lib.filterAttrs (_: unit: unit.enable or true != false);
  # The names that somebody set, with all of their values.
  chosen = config: set: kind: enabled (builtins.intersectAttrs (set.systemd.${kind} or { }) config.systemd.${kind});
  units =
    config: set:
    let
      of = kind: suffix: write: lib.mapAttrs' (name: unit: lib.nameValuePair "${name}.${suffix}" (write name unit)) (chosen config set kind);
      places = kind: suffix: write: builtins.listToAttrs (
        map (unit: lib.nameValuePair "${escapePath unit.where}.${suffix}" (write unit)) (set.systemd.${kind} or [ ])
      );
      startAt = lib.filterAttrs (_: unit: !isUnset (unit.startAt or null)) (chosen config set "services");
    in
    prefixed "etc/systemd/system/" (
      lib.mapAttrs' (
        name: unit:
        lib.nameValuePair "${name}.timer" (
          unitText
            {
              wantedBy = [ "timers.target" ];
            }
            [ (section "Timer" { OnCalendar = unit.startAt; }) ]
        )
      ) startAt
      // lib.mapAttrs' (
        name: unit:
        # What is set beside a unit of NixOS' own or of a package.
        lib.nameValuePair (if isWhole unit then "${name}.service" else "${name}.service.d/overrides.conf") (service name unit)
      ) (chosen config set "services")
      // of "sockets" "socket" socket
      // of "timers" "timer" (plainUnit "Timer" "timerConfig")
      // of "paths" "path" (plainUnit "Path" "pathConfig")
      // of "slices" "slice" (plainUnit "Slice" "sliceConfig")
      // of "targets" "target" (_: unit: unitText unit [ ])
      // places "mounts" "mount" mount
      // places "automounts" "automount" automount
    );

  # ---- systemd-networkd (nixos/modules/system/boot/networkd.nix) ----

  upper = name: lib.toUpper (builtins.substring 0 1 name) + builtins.substring 1 (-1) name;
  titles = {
    vlanConfig = "VLAN";
    macvlanConfig = "MACVLAN";
    vxlanConfig = "VXLAN";
    wireguardConfig = "WireGuard";
    dhcpV4Config = "DHCPv4";
    dhcpV6Config = "DHCPv6";
    netdevConfig = "NetDev";
    ipv6AcceptRAConfig = "IPv6AcceptRA";
  };
  listTitles = {
    addresses = "Address";
    routes = "Route";
    routingPolicyRules = "RoutingPolicyRule";
    wireguardPeers = "WireGuardPeer";
    neighbors = "Neighbor";
    bridgeVLANs = "BridgeVLAN";
  };
  plainLists = {
    address = "Address";
    gateway = "Gateway";
    dns = "DNS";
    ntp = "NTP";
    vlan = "VLAN";
    macvlan = "MACVLAN";
    vxlan = "VXLAN";
    bridge = "Bridge";
    bond = "Bond";
    domains = "Domains";
    tunnel = "Tunnel";
    DHCP = "DHCP";
  };
  networkdFile =
    unit:
    let
      isConfig = name: lib.hasSuffix "Config" name;
      title = name: titles.${name} or (upper (lib.removeSuffix "Config" name));
      # [Match] and [NetDev] first, as a person writes them.
      first = builtins.filter (name: unit ? ${name}) [
        "matchConfig"
        "netdevConfig"
        "linkConfig"
      ];
      configs = first ++ builtins.filter (name: isConfig name && !builtins.elem name (first ++ [ "networkConfig" ])) (builtins.attrNames unit);
      lists = builtins.filter (name: plainLists ? ${name}) (builtins.attrNames unit);
      network =
        unit.networkConfig or { }
        // builtins.listToAttrs (map (name: lib.nameValuePair plainLists.${name} unit.${name}) lists);
      inner = entry: if builtins.length (builtins.attrNames entry) == 1 && isConfig (builtins.head (builtins.attrNames entry)) then builtins.head (builtins.attrValues entry) else entry;
    in
    blocks (
      map (name: section (title name) unit.${name}) configs
      ++ [ (section "Network" network) ]
      ++ lib.concatMap (name: map (entry: section listTitles.${name} (inner entry)) (unit.${name} or [ ])) (builtins.attrNames listTitles)
      ++ [ (unit.extraConfig or "") ]
    );
  networkd =
    set:
    let
      of = kind: suffix: lib.mapAttrs' (name: unit: lib.nameValuePair "etc/systemd/network/${name}.${suffix}" (networkdFile unit)) (set.systemd.network.${kind} or { });
    in
    of "links" "link" // of "netdevs" "netdev" // of "networks" "network";

  # ---- other files of /etc ----

  etc =
    set:
    lib.mapAttrs' (
      name: entry:
      lib.nameValuePair "etc/${entry.target or name}" (entry.text or { link = entry.source; })
    ) (lib.filterAttrs (_: entry: entry.enable or true) (set.environment.etc or { }));

  some = path: text: lib.optionalAttrs (text != "") { ${path} = text; };
  # nixos/modules/services/networking/nftables.nix
  nftables =
    set:
    let
      options = set.networking.nftables or { };
      table =
        name: entry:
        let
          called = "${entry.family} ${entry.name or name}";
        in
        ''
          table ${called}
          delete table ${called}
          table ${called} {
          ${lib.concatStrings (map (line: if line == "" then "\n" else "  ${line}\n") (lib.splitString "\n" (lib.removeSuffix "\n" entry.content)))}}
        '';
    in
    lib.concatStringsSep "\n" (lib.mapAttrsToList table (lib.filterAttrs (_: entry: entry.enable or true) (options.tables or { })))
    + options.extraDeletions or ""
    + options.ruleset or "";
  sysctl =
    set:
    lib.concatStrings (
      lib.mapAttrsToList (name: value: "${name}=${if value == true then "1" else if value == false then "0" else toString value}\n") (
        set.boot.kernel.sysctl or { }
      )
    );
  hosts =
    set:
    lib.concatStrings (lib.mapAttrsToList (address: names: "${address} ${toString names}\n") (set.networking.hosts or { }))
    + set.networking.extraHosts or "";
  tmpfiles =
    set:
    lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (
          _: paths:
          lib.concatLists (
            lib.mapAttrsToList (
              path: kinds:
              lib.mapAttrsToList (kind: entry: "${kind} ${path} ${entry.mode or "-"} ${entry.user or "-"} ${entry.group or "-"} ${entry.age or "-"} ${entry.argument or ""}\n") kinds
            ) paths
          )
        ) (set.systemd.tmpfiles.settings or { })
      )
    )
    + lib.concatMapStrings (rule: rule + "\n") (set.systemd.tmpfiles.rules or [ ]);
  modprobe = set: set.boot.extraModprobeConfig or "";

  files =
    config: set:
    units config set
    // networkd set
    // some "etc/hosts" (hosts set)
    // some "etc/nftables.nft" (nftables set)
    // some "etc/sysctl.d/60-nixos.conf" (sysctl set)
    // some "etc/tmpfiles.d/00-nixos.conf" (tmpfiles set)
    // some "etc/modprobe.d/nixos.conf" (modprobe set)
    // services.files config set
    // etc set;

  # ---- the options that no file above says, a line each ----

  rendered = [
    [ "assertions" ]
    [ "warnings" ]
    [ "chasqui" ]
    [ "services" "chasqui" ]
    [ "environment" "etc" ]
    [ "networking" "hosts" ]
    [ "networking" "extraHosts" ]
    [ "networking" "nftables" "tables" ]
    [ "networking" "nftables" "ruleset" ]
    [ "boot" "kernel" "sysctl" ]
    [ "boot" "extraModprobeConfig" ]
    [ "systemd" "tmpfiles" ]
  ]
  ++ map (kind: [ "systemd" kind ]) [
    "services"
    "sockets"
    "timers"
    "paths"
    "slices"
    "targets"
    "mounts"
    "automounts"
  ]
  ++ map (kind: [ "systemd" "network" kind ]) [
    "links"
    "netdevs"
    "networks"
  ]
  ++ services.rendered;
  without =
    path: value:
    if !(builtins.isAttrs value) || !(value ? ${builtins.head path}) then
      value
    else if builtins.length path == 1 then
      removeAttrs value path
    else
      value // { ${builtins.head path} = without (builtins.tail path) value.${builtins.head path}; };

  nixString = value: if lib.hasInfix "\n" value then "''\n${indented value}''" else builtins.toJSON value;
  indented = text: lib.concatMapStrings (line: "  ${line}\n") (lib.splitString "\n" (lib.removeSuffix "\n" text));
  nixValue =
    value:
    if builtins.isString value then
      nixString value
    else if builtins.isList value then
      "[ ${lib.concatMapStrings (item: nixValue item + " ") value}]"
    else if builtins.isAttrs value then
      "{ ${lib.concatStrings (lib.mapAttrsToList (name: item: "${lib.showOption [ name ]} = ${nixValue item}; ") value)}}"
    else
      builtins.toJSON value;
  flat =
    path: value:
    if builtins.isAttrs value then
      lib.concatStrings (lib.mapAttrsToList (name: flat (path ++ [ name ])) value)
    else
      "${lib.showOption path} = ${nixValue value}\n";
in
{
  inherit files;
  options = set: flat [ ] (lib.foldl' (value: path: without path value) set rendered);
}
