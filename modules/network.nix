# The host's interfaces, by systemd-networkd: bonds, VLANs, bridges for guests, addresses and the way out.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.network;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  interfaces = cfg.interfaces;

  vlansOf = name: lib.attrNames (lib.filterAttrs (_: other: other.parent == name) interfaces);
  hasIPv6 = interface: lib.any chasquiLib.isIPv6 interface.addresses;

  netdev = name: interface: {
    name = "10-${name}";
    value = {
      netdevConfig = {
        Name = name;
        Kind = interface.kind;
      };
    }
    // lib.optionalAttrs (interface.kind == "bond") {
      bondConfig = {
        Mode = "802.3ad";
        LACPTransmitRate = "fast";
        MIIMonitorSec = "100ms";
        TransmitHashPolicy = "layer3+4";
      };
    }
    // lib.optionalAttrs (interface.kind == "vlan") { vlanConfig.Id = interface.vlan; }
    // lib.optionalAttrs (interface.kind == "bridge") { bridgeConfig.STP = false; };
  };

  linkConfig =
    interface:
    lib.optionalAttrs (interface.mtu != null) { MTUBytes = toString interface.mtu; }
    // {
      # An interface that only carries others is up when its cable is.
      RequiredForOnline = if interface.addresses == [ ] then "carrier" else "routable";
    };

  network = name: interface: {
    name = "20-${name}";
    value = {
      # A guest's interfaces are numbered in the order of its configuration. Should the numbers ever differ, its hardware address keeps
      # it off a network that it is not in.
      matchConfig = {
        Name = name;
      }
      // lib.optionalAttrs (interface.mac != null) { MACAddress = interface.mac; };
      address = interface.addresses;
      gateway = interface.gateways;
      vlan = vlansOf name;
      networkConfig = {
        DHCP = "no";
        IPv6AcceptRA = false;
        LinkLocalAddressing = if hasIPv6 interface then "ipv6" else "no";
      }
      // lib.optionalAttrs (interface.bridge != null) { Bridge = interface.bridge; };
      linkConfig = linkConfig interface;
    };
  };

  bondPorts =
    name: interface:
    map (port: {
      name = "20-${port}";
      value = {
        matchConfig.Name = port;
        networkConfig.Bond = name;
        # The bond is online while one of its ports is.
        linkConfig = {
          RequiredForOnline = "no";
        }
        // lib.optionalAttrs (interface.mtu != null) { MTUBytes = toString interface.mtu; };
      };
    }) interface.ports;
in
{
  options.chasqui.network = {
    enable = mkOption {
      type = types.bool;
      default = site != null;
      defaultText = lib.literalMD "true with a site file";
      description = "Whether this module makes the host's interfaces, addresses and routes.";
    };

    interfaces = mkOption {
      default = if site == null then { } else chasquiLib.network.interfacesOf site host;
      defaultText = lib.literalMD "from the site file";
      description = "The interfaces, by name.";
      type = types.attrsOf (
        types.submodule {
          options = {
            kind = mkOption {
              type = types.enum [
                "port"
                "bond"
                "vlan"
                "bridge"
              ];
              default = "port";
              description = "What it is: a network port, an LACP bond of ports, a VLAN of another interface, or a bridge that guests are on.";
            };
            network = mkOption {
              type = types.str;
              default = "";
              description = "The network of the site that it is in.";
            };
            addresses = mkOption {
              type = types.listOf types.str;
              default = [ ];
              example = [ "192.0.2.10/24" ];
              description = "The host's addresses there, each with the length of its prefix.";
            };
            gateways = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "Default gateways, at most one a family.";
            };
            mtu = mkOption {
              type = types.nullOr types.ints.positive;
              default = null;
              description = "Octets of the largest packet. Default the driver's.";
            };
            vlan = mkOption {
              type = types.nullOr (types.ints.between 1 4094);
              default = null;
              description = "The number of a VLAN.";
            };
            ports = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The ports of a bond.";
            };
            parent = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "The interface that carries a VLAN.";
            };
            bridge = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "The bridge that it is a port of.";
            };
            mac = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "The hardware address by which a guest's interface is recognised.";
            };
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = lib.mapAttrsToList (name: interface: {
      assertion =
        interface.kind != "vlan" || (interface.vlan != null && interfaces ? ${toString interface.parent});
      message = "chasqui.network.interfaces.${name}: a VLAN needs `vlan', its number, and `parent', an interface of this host; set `vlan' of its network and `parent' of hosts.${toString host}.interfaces.${name} in the site file.";
    }) interfaces;

    networking.useDHCP = false;
    networking.useNetworkd = true;
    # The names of the site file are the kernel's for guests, the firmware's (eno1) for machines.
    networking.usePredictableInterfaceNames = lib.mkIf (site != null) (
      lib.mkDefault (!site.hosts.${host}.guest)
    );
    networking.hosts = lib.mkIf (site != null) (
      chasquiLib.network.hostsFile site
      # NixOS gives the host's own name to this address; the roles listen where the others reach them.
      // {
        "127.0.0.2" = lib.mkForce [ ];
      }
    );

    systemd.network.enable = true;
    systemd.network.netdevs = lib.listToAttrs (
      lib.mapAttrsToList netdev (lib.filterAttrs (_: interface: interface.kind != "port") interfaces)
    );
    systemd.network.networks = lib.listToAttrs (
      lib.mapAttrsToList network interfaces ++ lib.concatLists (lib.mapAttrsToList bondPorts interfaces)
    );
  };
}
