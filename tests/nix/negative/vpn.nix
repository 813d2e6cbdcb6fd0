# Meshes, and knocking before people enter one (E2, E19).
{ lab, change, ... }:
let
  store = name: "/nix/store/00000000000000000000000000000000-${name}";
in
[
  {
    name = "a WireGuard key in the store is refused";
    site = change lab { secrets.wireguard = store "wireguard.key"; };
    host = "storage1";
    fails = "chasqui.vpn.keyFile: ${store "wireguard.key"} is in the Nix store";
  }
  {
    name = "a host in a mesh needs a key";
    site = change lab { hosts.storage1.wireguard_key = null; };
    host = "storage1";
    fails = "hosts.storage1.wireguard_key: the host is in a mesh and has no key; make one with `wg genkey'";
  }
  {
    name = "so do the others in it";
    site = change lab { hosts.storage1.wireguard_key = null; };
    host = "controller1";
    fails = "hosts.storage1.wireguard_key: storage1 is in the mesh `san' and has no key";
  }
  {
    name = "members of a mesh must have a wire in common";
    site = change lab { hosts.storage1.interfaces.eth2 = null; };
    host = "controller1";
    fails = "chasqui.vpn.meshes.wg-san: this host and storage1 have none of the networks below `san' in common";
  }
  {
    name = "two meshes of a host need different ports";
    site = change lab { networks.san-b.port = 51821; };
    host = "storage1";
    fails = "chasqui.vpn.meshes.wg-san.port: 51821 is the port of several meshes of this host";
  }
  {
    name = "a VPN entrance without knocking is refused";
    site = change lab {
      hosts.edge1.roles = [
        "firewall"
        "router"
        "vpn"
      ];
    };
    host = "edge1";
    fails = "hosts.edge1.roles: administrators enter `admin' here, and the port opens only after a knock (E2); add the role `knock'.";
  }
  {
    name = "knocking without a VPN is refused";
    site = change lab {
      hosts.edge1.roles = [
        "firewall"
        "router"
        "knock"
      ];
    };
    host = "edge1";
    fails = "chasqui.knock.ports: a knock opens nothing here";
  }
  {
    name = "knocking that nobody may do is refused";
    site = change lab { administrators = null; };
    host = "edge1";
    fails = "chasqui.knock.persons: nobody may knock";
  }
  {
    name = "knock keys in the store are refused";
    site = change lab { secrets.knock = store "knock"; };
    host = "edge1";
    fails = "chasqui.knock.keys: ${store "knock"} is in the Nix store";
  }
  {
    name = "a knock needs the packet filter that it opens";
    host = "edge1";
    modules = [ { chasqui.firewall.enable = false; } ];
    fails = "chasqui.firewall.enable: a knock opens ports of this packet filter";
  }
]
