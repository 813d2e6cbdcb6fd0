# nixos/modules/services/networking/keepalived/default.nix: scripts, instances, then whatever a module adds. With a secret file NixOS puts
# its variables into the text at start; here they stay as they are.
{ lib, ... }:
let
  block = title: lines: [ "${title} {" ] ++ map (line: "  ${line}") lines ++ [ "}" ];
  own = text: builtins.filter (line: line != "") (lib.splitString "\n" text);
  when = condition: line: lib.optional condition line;

  script =
    name: entry:
    block "vrrp_script ${name}" (
      [
        "script \"${entry.script}\""
        "interval ${toString entry.interval}"
        "fall ${toString entry.fall}"
        "rise ${toString entry.rise}"
        "timeout ${toString entry.timeout}"
        "weight ${toString entry.weight}"
        "user ${entry.user}${lib.optionalString (entry.group != null) " ${entry.group}"}"
      ]
      ++ own entry.extraConfig
    );
  virtual =
    ip:
    ip.addr
    + lib.concatMapStrings (key: lib.optionalString (ip.${key} != null) " ${key} ${ip.${key}}") [
      "brd"
      "dev"
      "scope"
      "label"
    ];
  tracked = title: names: lib.optionals (names != [ ]) (block title names);
  instance =
    name: entry:
    block "vrrp_instance ${name}" (
      [
        "interface ${entry.interface}"
        "state ${entry.state}"
        "virtual_router_id ${toString entry.virtualRouterId}"
        "priority ${toString entry.priority}"
      ]
      ++ when entry.noPreempt "nopreempt"
      ++ when (entry.unicastSrcIp != null) "unicast_src_ip ${toString entry.unicastSrcIp}"
      ++ lib.optionals (entry.unicastPeers != [ ]) (block "unicast_peer" entry.unicastPeers)
      ++ block "virtual_ipaddress" (map virtual entry.virtualIps)
      ++ tracked "track_script" entry.trackScripts
      ++ tracked "track_interface" entry.trackInterfaces
      ++ own entry.extraConfig
    );
  each = render: entries: lib.concatLists (lib.mapAttrsToList render entries);
in
{
  covers =
    map
      (name: [
        "services"
        "keepalived"
        name
      ])
      [
        "enableScriptSecurity"
        "extraConfig"
        "extraGlobalDefs"
        "vrrpInstances"
        "vrrpScripts"
      ];
  files =
    config: _:
    let
      cfg = config.services.keepalived;
    in
    lib.optionalAttrs (cfg.enable == true) {
      "etc/keepalived/keepalived.conf" =
        lib.concatMapStrings (line: line + "\n") (
          block "global_defs" (
            when (cfg.enableScriptSecurity == true) "enable_script_security" ++ own cfg.extraGlobalDefs
          )
          ++ each script cfg.vrrpScripts
          ++ each instance cfg.vrrpInstances
        )
        + cfg.extraConfig;
    };
}
