# The files that NixOS writes from its options, as far as our modules set them: units, networkd's files, the packet filter, /etc.
# It follows nixpkgs' own writers (`nixos/lib/systemd-lib.nix` and the modules named below), so that the same text goes through
# the real programs' checks here and lies on a host there.
#
# `files config set` is an attribute set from paths, relative to the host's root, to texts or to `{ link = file; }`.
{ lib, pkgs }:
let
  services = import ./render-services.nix { inherit lib pkgs; };
  units = import ./render-units.nix { inherit lib pkgs; };
  networkd = import ./render-networkd.nix { inherit lib; };

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
          ${
            lib.concatStrings (
              map (line: if line == "" then "\n" else "  ${line}\n") (
                lib.splitString "\n" (lib.removeSuffix "\n" entry.content)
              )
            )
          }}
        '';
    in
    lib.concatStringsSep "\n" (
      lib.mapAttrsToList table (lib.filterAttrs (_: entry: entry.enable or true) (options.tables or { }))
    )
    + options.extraDeletions or ""
    + options.ruleset or "";
  sysctl =
    set:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: value:
        "${name}=${
          if value == true then
            "1"
          else if value == false then
            "0"
          else
            toString value
        }\n"
      ) (set.boot.kernel.sysctl or { })
    );
  hosts =
    set:
    lib.concatStrings (
      lib.mapAttrsToList (address: names: "${address} ${toString names}\n") (set.networking.hosts or { })
    )
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
              lib.mapAttrsToList (
                kind: entry:
                "${kind} ${path} ${entry.mode or "-"} ${entry.user or "-"} ${entry.group or "-"} ${entry.age or "-"} ${entry.argument or ""}\n"
              ) kinds
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
    [
      "services"
      "chasqui"
    ]
    [
      "environment"
      "etc"
    ]
    [
      "networking"
      "hosts"
    ]
    [
      "networking"
      "extraHosts"
    ]
    [
      "networking"
      "nftables"
      "tables"
    ]
    [
      "networking"
      "nftables"
      "ruleset"
    ]
    [
      "boot"
      "kernel"
      "sysctl"
    ]
    [
      "boot"
      "extraModprobeConfig"
    ]
    [
      "systemd"
      "tmpfiles"
    ]
  ]
  ++
    map
      (kind: [
        "systemd"
        kind
      ])
      [
        "services"
        "sockets"
        "timers"
        "paths"
        "slices"
        "targets"
        "mounts"
        "automounts"
      ]
  ++
    map
      (kind: [
        "systemd"
        "network"
        kind
      ])
      [
        "links"
        "netdevs"
        "networks"
      ]
  ++ services.rendered;
  # Takes a path out, and what becomes empty with it.
  without =
    path: value:
    let
      name = builtins.head path;
      inner = without (builtins.tail path) value.${name};
    in
    if !(builtins.isAttrs value) || !(value ? ${name}) then
      value
    else if builtins.length path == 1 || inner == { } then
      removeAttrs value [ name ]
    else
      value // { ${name} = inner; };

  nixString =
    value: if lib.hasInfix "\n" value then "''\n${indented value}''" else builtins.toJSON value;
  indented =
    text:
    lib.concatMapStrings (line: "  ${line}\n") (lib.splitString "\n" (lib.removeSuffix "\n" text));
  nixValue =
    value:
    if builtins.isString value then
      nixString value
    else if builtins.isList value then
      "[ ${lib.concatMapStrings (item: nixValue item + " ") value}]"
    else if builtins.isAttrs value then
      "{ ${
        lib.concatStrings (
          lib.mapAttrsToList (name: item: "${lib.showOption [ name ]} = ${nixValue item}; ") value
        )
      }}"
    else
      builtins.toJSON value;
  flat =
    path: value:
    if value == { } && path != [ ] then
      "${lib.showOption path} = { }\n"
    else if builtins.isAttrs value then
      lib.concatStrings (lib.mapAttrsToList (name: flat (path ++ [ name ])) value)
    else
      "${lib.showOption path} = ${nixValue value}\n";
in
{
  inherit files;
  options = set: flat [ ] (lib.foldl' (value: path: without path value) set rendered);
}
