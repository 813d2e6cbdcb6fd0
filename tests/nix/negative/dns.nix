# Public DNS (E1).
{
  lab,
  change,
  ...
}:
let
  alone = settings: [
    {
      chasqui.dns = {
        enable = true;
      }
      // settings;
    }
  ];
  zone = {
    nameServers = [ "ns.correo.example" ];
    contact = "hostmaster@correo.example";
  };
in
[
  {
    name = "a list of views that leaves somebody out is refused";
    site = null;
    modules = alone {
      views = [
        {
          name = "inside";
          clients = [ "192.0.2.0/24" ];
        }
      ];
    };
    fails = "chasqui.dns.views: the last view must be for everybody";
  }
  {
    name = "a region that is called like the view of everybody else is refused";
    site = change lab {
      dns.regions.everybody = {
        clients = [ "203.0.113.0/24" ];
        datacenters = [ "norte" ];
      };
    };
    host = "ns1";
    fails = "chasqui.dns.views: two views have the same name; `everybody' is the last one's";
  }
  {
    name = "two regions that claim the same clients are refused";
    site = change lab {
      dns.regions.oriente = {
        clients = [ "198.51.100.192/26" ];
        datacenters = [ "norte" ];
      };
    };
    host = "ns2";
    fails = "dns.regions: `occidente' and `oriente' both claim the same clients";
  }
  {
    name = "a zone without name servers is refused";
    site = change lab { publish.dns.names = [ ]; };
    host = "ns1";
    fails = "chasqui.dns.zones.\"correo.gob.example\".nameServers: a zone needs servers";
  }
  {
    name = "a name server without an address is refused";
    site = change lab {
      publish.dns.names = [
        "ns1.correo.gob.example"
        "ns2.correo.gob.example"
        "ns3.correo.gob.example"
      ];
    };
    host = "ns1";
    fails = "publish: the name server ns3.correo.gob.example has no address";
  }
  {
    name = "transfer keys in the store are refused";
    site = change lab { secrets.dns = "/nix/store/00000000000000000000000000000000-keys"; };
    host = "ns1";
    fails = "chasqui.dns.transferKeys: /nix/store/00000000000000000000000000000000-keys is in the Nix store";
  }
  {
    name = "a private key in the store is refused";
    site = change lab { secrets.key = "/nix/store/00000000000000000000000000000000-{host}.key"; };
    host = "ns2";
    fails = "chasqui.dns.tls: a path lies in the Nix store";
  }
  {
    name = "a policy of TLS that nobody can fetch may not be enforced";
    site = change lab {
      domains."escuela.example".mta_sts = "enforce";
      publish.web.names = [ "mta-sts.correo.gob.example" ];
    };
    host = "ns1";
    fails = "domains.\"escuela.example\".mta_sts: nobody can fetch the policy that is to be enforced";
  }
  {
    name = "a contact that is no e-mail address is refused";
    site = null;
    modules = alone {
      zones."correo.example" = zone // {
        contact = "nobody";
      };
    };
    fails = "contact";
  }
]
