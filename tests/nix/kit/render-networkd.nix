# systemd-networkd's files, written as nixpkgs' `nixos/modules/system/boot/networkd.nix` writes them.
{ lib }:
let
  inherit (import ./sections.nix { inherit lib; })
    section
    blocks
    ;
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
      configs =
        first
        ++ builtins.filter (name: isConfig name && !builtins.elem name (first ++ [ "networkConfig" ])) (
          builtins.attrNames unit
        );
      lists = builtins.filter (name: plainLists ? ${name}) (builtins.attrNames unit);
      network =
        unit.networkConfig or { }
        // builtins.listToAttrs (map (name: lib.nameValuePair plainLists.${name} unit.${name}) lists);
      inner =
        entry:
        if
          builtins.length (builtins.attrNames entry) == 1
          && isConfig (builtins.head (builtins.attrNames entry))
        then
          builtins.head (builtins.attrValues entry)
        else
          entry;
    in
    blocks (
      map (name: section (title name) unit.${name}) configs
      ++ [ (section "Network" network) ]
      ++ lib.concatMap (
        name: map (entry: section listTitles.${name} (inner entry)) (unit.${name} or [ ])
      ) (builtins.attrNames listTitles)
      ++ [ (unit.extraConfig or "") ]
    );
  networkd =
    set:
    let
      of =
        kind: suffix:
        lib.mapAttrs' (
          name: unit: lib.nameValuePair "etc/systemd/network/${name}.${suffix}" (networkdFile unit)
        ) (set.systemd.network.${kind} or { });
    in
    of "links" "link" // of "netdevs" "netdev" // of "networks" "network";
in
networkd
