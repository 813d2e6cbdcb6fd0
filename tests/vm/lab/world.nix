# A machine that is not of the site: on the wires that it is given, with the addresses that it is given, and programs to try things with.
{
  # Interface = { vlan; addresses; }: `eth1.vlan = 3; eth1.addresses = [ "10.20.1.1/24" ];`
  interfaces,
  # Prefix = the next hop.
  routes ? { },
}:
{ lib, pkgs, ... }:
{
  virtualisation.vlans = [ ];
  virtualisation.interfaces = lib.mapAttrs (_: interface: {
    inherit (interface) vlan;
    assignIP = false;
  }) interfaces;
  networking.useNetworkd = true;
  networking.useDHCP = false;
  networking.firewall.enable = false;
  systemd.network.networks = lib.mapAttrs' (
    name: interface:
    lib.nameValuePair "20-${name}" {
      matchConfig.Name = name;
      address = interface.addresses;
      routes = lib.mapAttrsToList (prefix: via: {
        Destination = prefix;
        Gateway = via;
        GatewayOnLink = true;
      }) routes;
    }
  ) interfaces;
  environment.systemPackages = [
    pkgs.curl
    pkgs.netcat
    pkgs.python3
    pkgs.swaks
  ];
}
