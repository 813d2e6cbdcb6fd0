# What the site file's own checks refuse, beside those of the planner.
{ lab, change, ... }:
[
  {
    name = "a host that the site file does not have";
    host = "edge9";
    fails = "chasqui.host: `edge9' is not a host of the site file";
  }
  {
    name = "a key that the site file does not know";
    site = change lab { hosts.edge1.colour = "red"; };
    host = "edge1";
    fails = "hosts.edge1.colour";
  }
  {
    name = "an interface in a network that is nowhere";
    site = change lab { hosts.ns1.interfaces.eth0.network = "servcie"; };
    host = "ns1";
    fails = "hosts.ns1.interfaces.eth0.network";
  }
  {
    name = "a role that does not exist";
    site = change lab { hosts.ns1.roles = [ "dsn" ]; };
    host = "ns1";
    fails = "hosts.ns1.roles";
  }
]
