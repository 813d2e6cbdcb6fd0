# Packet filters, translation and the addresses of a pair (E2, E3).
{ lab, change, ... }:
let
  store = name: "/nix/store/00000000000000000000000000000000-${name}";
  # A router without a site file.
  router = translation: {
    chasqui.router = {
      enable = true;
      translations = [
        (
          {
            name = "smtp";
            public = [ "192.0.2.10" ];
            tcp = [ 25 ];
            targets = [
              {
                name = "mx1";
                address = "10.0.0.1";
              }
            ];
          }
          // translation
        )
      ];
    };
  };
  instance = {
    interface = "eth0";
    id = 7;
    source = "10.0.0.1";
    addresses = [ "10.0.0.9" ];
    group = "edge";
  };
  filter = forward: {
    chasqui.firewall = {
      enable = true;
      forward = {
        enable = true;
      }
      // forward;
    };
  };
in
[
  {
    name = "an opening to a role needs a site that has roles";
    site = null;
    modules = [
      {
        chasqui.firewall.enable = true;
        chasqui.openings.lmtp = {
          tcp = [ 1024 ];
          from = [ "role:mx" ];
        };
      }
    ];
    fails = "chasqui.openings.lmtp.from: `role:mx' needs a site file";
  }
  {
    name = "a zone that rules speak of must have its interfaces";
    site = null;
    modules = [
      (filter {
        outside = [ "uplink" ];
        zones = { };
      })
    ];
    fails = "chasqui.firewall.forward.zones: every zone of `outside' and `inside' needs its interfaces; add uplink.";
  }
  {
    name = "two zones cannot both be the internet";
    site = null;
    modules = [
      (filter {
        outside = [
          "uplink"
          "public"
        ];
        zones = {
          uplink = [ "eth0" ];
          public = [ "eth1" ];
        };
      })
    ];
    fails = "chasqui.firewall.forward.outside: uplink and public cannot both be outside";
  }
  {
    name = "a firewall without an uplink is refused";
    site = change lab {
      hosts.edge1.interfaces.eno1 = null;
      hosts.edge1.interfaces.wg-admin = null;
      hosts.edge1.roles = [
        "firewall"
        "router"
      ];
    };
    host = "edge1";
    fails = "hosts.edge1: a firewall needs an interface in a network of kind `uplink'";
  }
  {
    name = "a published address that leads nowhere is refused";
    site = change lab { publish.smtp.at.norte.public = [ "2001:db8::10" ]; };
    host = "edge1";
    fails = "chasqui.router.translations: `smtp' has public IPv6 addresses and nowhere to go";
  }
  {
    name = "an address is not translated to the other family";
    site = null;
    modules = [ (router { public = [ "2001:db8::10" ]; }) ];
    fails = "chasqui.router.translations: `smtp' mixes families";
  }
  {
    name = "hosts go out with one address of a family";
    host = "edge1";
    modules = [
      {
        chasqui.router.egress = [
          "192.0.2.9"
          "192.0.2.8"
        ];
      }
    ];
    fails = "chasqui.router.egress: 192.0.2.9, 192.0.2.8 are several addresses of one family; keep one.";
  }
  {
    name = "a router without the service network is refused";
    site = change lab { hosts.edge1.interfaces."eno2.101" = null; };
    host = "edge1";
    fails = "hosts.edge1: a router needs an interface in a network of kind `service'";
  }
  {
    name = "the password of a pair in the store is refused";
    site = change lab { secrets.vrrp = store "vrrp"; };
    host = "edge1";
    fails = "chasqui.vrrp.passwordFile: ${store "vrrp"} is in the Nix store";
  }
  {
    name = "a host cannot hold addresses of a network that it has no address in";
    site = change lab { hosts.edge1.interfaces.eno2.addresses = [ ]; };
    host = "edge1";
    fails = "chasqui.vrrp.instances.gateway-public: this host has no address in the network of 192.0.2.1";
  }
  {
    name = "two sets of addresses on one wire need different numbers";
    site = null;
    modules = [
      {
        chasqui.vrrp.instances = {
          one = instance;
          two = instance // {
            addresses = [ "10.0.0.10" ];
          };
        };
      }
    ];
    fails = "chasqui.vrrp.instances.one.id: 7 is used by one and two on eth0";
  }
]
