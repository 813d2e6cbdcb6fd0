# The database cluster, LDAP, the directory's copies, and monitoring.
{
  lab,
  change,
  ...
}:
let
  inStore = "/nix/store/00000000000000000000000000000000-secrets/file";
in
[
  {
    name = "a database host that is not among the members is refused";
    host = "data1";
    modules = [ { chasqui.database.name = "elsewhere"; } ];
    fails = "chasqui.database.members: this host, `elsewhere', is not among the members";
  }
  {
    name = "an even number of database members is refused";
    site = change lab { hosts.data3.roles = [ ]; };
    host = "data1";
    fails = "chasqui.database.members: 2 members cannot lose one and still agree";
  }
  {
    name = "a database address outside the host's networks is refused";
    site = change lab { database.at.norte = "192.168.7.7"; };
    host = "data1";
    fails = "chasqui.database.virtualAddress: 192.168.7.7 is in no network that this host has an interface in";
  }
  {
    name = "the database's private key in the store is refused";
    host = "data1";
    modules = [ { chasqui.database.tls.key = inStore; } ];
    fails = "chasqui.database.tls: a path lies in the Nix store";
  }
  {
    name = "the database's passwords in the store are refused";
    site = change lab { secrets.database = inStore; };
    host = "data1";
    fails = "chasqui.database.secretsDir: a path lies in the Nix store";
  }
  {
    name = "LDAP providers without a suffix are refused";
    site = change lab { ldap = null; };
    host = "data1";
    fails = "chasqui.ldap.suffix: there is none";
  }
  {
    name = "an LDAP suffix that is no root of a tree is refused";
    site = change lab { ldap.suffix = "gob.example"; };
    host = "data1";
    fails = "chasqui.ldap.suffix: `gob.example' cannot be the root of a tree";
  }
  {
    name = "an LDAP host that is not among the providers is refused";
    host = "data1";
    modules = [ { chasqui.ldap.providers = [ ]; } ];
    fails = "chasqui.ldap.providers: this host, `data1', is not among the providers";
  }
  {
    name = "LDAP's private key in the store is refused";
    host = "data1";
    modules = [ { chasqui.ldap.tls.key = inStore; } ];
    fails = "chasqui.ldap.tls: a path lies in the Nix store";
  }
  {
    name = "a directory server that gives and takes copies is refused";
    host = "service1";
    modules = [ { services.chasqui.directory.copies.from = "service2.lab.internal"; } ];
    fails = "services.chasqui.directory.copies: this host cannot both give copies";
  }
  {
    name = "the key of the directory's copies in the store is refused";
    host = "service1";
    modules = [ { services.chasqui.directory.copies.tls.key = inStore; } ];
    fails = "services.chasqui.directory.copies.tls: a path lies in the Nix store";
  }
  {
    name = "metrics of a host without an address are refused";
    site = null;
    modules = [ { chasqui.metricsForwarding.enable = true; } ];
    fails = "chasqui.metricsForwarding.address: there is none";
  }
  {
    name = "the key in front of the metrics in the store is refused";
    host = "web1";
    modules = [ { chasqui.metricsForwarding.tls.key = inStore; } ];
    fails = "chasqui.metricsForwarding.tls: a path lies in the Nix store";
  }
  {
    name = "alerts that no exchanger takes are refused";
    host = "ops1";
    modules = [ { chasqui.monitoring.smarthost = null; } ];
    fails = "chasqui.monitoring.smarthost: alerts are to be mailed";
  }
  {
    name = "monitoring's private key in the store is refused";
    host = "ops1";
    modules = [ { chasqui.monitoring.tls.key = inStore; } ];
    fails = "chasqui.monitoring.tls: a path lies in the Nix store";
  }
]
