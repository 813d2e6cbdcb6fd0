# Balancers and the servers behind them (E4).
{ lab, change, ... }:
let
  # A balancer without a site file.
  balancer = server: {
    chasqui.facade = {
      enable = true;
      virtualServers.smtp = {
        address = "192.0.2.10";
        port = 25;
        realServers.mx1.address = "192.0.2.11";
      }
      // server;
    };
  };
in
[
  {
    name = "a façade address without a server behind it is refused";
    site = change lab {
      hosts.web1.roles = [ "http" ];
      hosts.web2.roles = [ "http" ];
    };
    host = "facade1";
    fails = "chasqui.facade.virtualServers.web-tcp-443-10.20.1.12: no server is behind it";
  }
  {
    name = "a façade address in no service network is refused";
    site = change lab { publish.smtp.at.norte.facade = [ "10.20.4.10" ]; };
    host = "facade1";
    fails = "publish.*.at.*.facade: 10.20.4.10 lies in no network of kind `service' of this data centre";
  }
  {
    name = "an IPv4 address is not spread over IPv6 servers";
    site = null;
    modules = [ (balancer { realServers.mx1.address = "2001:db8::11"; }) ];
    fails = "chasqui.facade.virtualServers.smtp: 192.0.2.10 cannot be spread over addresses of the other family";
  }
  {
    name = "DNS servers are asked for a zone that must be named";
    site = null;
    modules = [
      (balancer {
        port = 53;
        protocol = "udp";
        check = "dns";
      })
    ];
    fails = "chasqui.facade.check.zone: `smtp' balances DNS servers, which are asked for a zone; name one.";
  }
  {
    name = "a balancer that balances to itself is refused";
    site = change lab {
      hosts.facade1.roles = [
        "facade"
        "mx"
      ];
    };
    host = "facade1";
    fails = "chasqui.facade.virtualServers: facade1 balances to itself in smtp-tcp-25-10.20.1.10";
  }
  {
    name = "a balancer does not hold its addresses twice";
    host = "facade1";
    modules = [ { chasqui.facade.held = [ "10.20.1.10" ]; } ];
    fails = "chasqui.facade.held: a balancer holds its virtual servers' addresses by VRRP";
  }
  {
    name = "a weight that keepalived's checks cannot say is refused";
    site = change lab { hosts.service1.weight = 300; };
    host = "facade1";
    fails = "chasqui.facade.virtualServers.";
  }
]
