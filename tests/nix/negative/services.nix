# The roles, the host's interfaces, and which host of the site this is.
{
  lab,
  change,
  ...
}:
let
  # A role on a host without a site file.
  alone = role: settings: {
    services.chasqui.${role} = {
      enable = true;
      inherit settings;
    };
  };
  tls = {
    ca = "/etc/chasqui/ca.crt";
    certificate = "/etc/chasqui/host.crt";
    key = "/etc/chasqui/host.key";
  };
in
[
  {
    name = "a host that the site does not have is refused with those that it has";
    host = "nowhere";
    fails = "chasqui.host: `nowhere' is not a host of the site file; set it to one of: blade1, ";
  }
  {
    name = "a VLAN interface without a parent among the host's interfaces is refused";
    site = null;
    modules = [
      {
        chasqui.network = {
          enable = true;
          interfaces."eno1.7" = {
            kind = "vlan";
            vlan = 7;
            parent = "eno1";
          };
        };
      }
    ];
    fails = "chasqui.network.interfaces.eno1.7: a VLAN needs `vlan'";
  }
  {
    name = "an address outside its network's prefixes is refused";
    site = change lab { hosts.ns1.interfaces.eth1.addresses = [ "10.99.0.1" ]; };
    host = "ns1";
    fails = "hosts.ns1.interfaces.eth1.addresses: 10.99.0.1 lies in no prefix of the network `management'";
  }
  {
    name = "a private key in the store is refused";
    host = "service1";
    modules = [
      {
        services.chasqui.mx.settings.public_tls.key =
          "/nix/store/00000000000000000000000000000000-privkey.pem";
      }
    ];
    fails = "services.chasqui.mx.settings.public_tls.key: /nix/store/00000000000000000000000000000000-privkey.pem is in the Nix store";
  }
  {
    name = "a secret that the site file puts into the store is refused for every role that would read it";
    site = change lab { secrets.directory_keys = "/nix/store/00000000000000000000000000000000-keys"; };
    host = "storage1";
    fails = "services.chasqui.storage.settings.directory.keys: /nix/store/";
  }
  {
    name = "an exchanger that listens to the world without a certificate is refused";
    site = null;
    modules = [
      (alone "mx" {
        listen = [ "192.0.2.1:25" ];
        directory.servers = [ "127.0.0.1:1701" ];
      })
    ];
    fails = "services.chasqui.mx.settings.listen: 192.0.2.1:25 is not on loopback, and nothing there may be in clear; set services.chasqui.mx.settings.public_tls";
  }
  {
    name = "a storage node that listens to the network without a certificate is refused";
    site = null;
    modules = [
      (alone "storage" {
        lmtp = "[2001:db8::1]:1024";
        directory.servers = [ "127.0.0.1:1701" ];
      })
    ];
    fails = "services.chasqui.storage.settings.lmtp: [2001:db8::1]:1024 is not on loopback";
  }
  {
    name = "a metrics page outside loopback is refused";
    host = "service2";
    modules = [ { services.chasqui.proxy.settings.metrics = "10.20.1.42:9106"; } ];
    fails = "services.chasqui.proxy.settings.metrics: 10.20.1.42:9106 is not on loopback";
  }
  {
    name = "an exchanger without directory servers is refused";
    site = null;
    modules = [ (alone "mx" { listen = [ "127.0.0.1:25" ]; }) ];
    fails = "services.chasqui.mx.settings.directory.servers: the mail exchanger asks the directory";
  }
  {
    name = "a site without a directory is refused by the roles that ask it";
    site = change lab {
      hosts.service1.roles = [ "proxy" ];
      hosts.service2.roles = [ "mx" ];
    };
    host = "service1";
    fails = "services.chasqui.proxy.settings.directory.servers: the mailbox proxy asks the directory";
  }
  {
    name = "a directory server on another host is not asked in clear";
    site = null;
    modules = [ (alone "proxy" { directory.servers = [ "directory.example:1701" ]; }) ];
    fails = "services.chasqui.proxy.settings.directory.servers: directory.example:1701 is not on this host and may only be asked over TLS";
  }
  {
    name = "a directory's database must have a whole path";
    site = null;
    modules = [ (alone "directory" { database.path = "directory.sqlite"; }) ];
    fails = "services.chasqui.directory.settings.database.path: directory.sqlite is relative";
  }
  {
    name = "a storage node without a root is refused";
    site = null;
    modules = [
      (alone "storage" {
        store.root = "";
        directory.servers = [ "127.0.0.1:1701" ];
        inherit tls;
      })
    ];
    fails = "services.chasqui.storage.settings.store.root: `' is no absolute path";
  }
  {
    name = "a storage node does not put mail beside its volume";
    host = "storage1";
    modules = [ { services.chasqui.storage.settings.store.root = "/srv/mail"; } ];
    fails = "services.chasqui.storage.settings.store.root: /srv/mail is on none of this host's volumes (/var/lib/chasqui/mail)";
  }
  {
    name = "a queue must have a whole path";
    site = null;
    modules = [
      (alone "relay" {
        queue.path = "queue";
        directory.servers = [ "127.0.0.1:1701" ];
      })
    ];
    fails = "services.chasqui.relay.settings.queue.path: `queue' is no absolute path";
  }
  {
    name = "keys of signatures in the store are refused";
    host = "relay1";
    modules = [
      {
        services.chasqui.relay.settings.signing.keys = "/nix/store/00000000000000000000000000000000-dkim";
      }
    ];
    fails = "services.chasqui.relay.settings.signing.keys: /nix/store/00000000000000000000000000000000-dkim is in the Nix store";
  }
  {
    name = "users hand in mail under TLS, or on loopback";
    site = null;
    modules = [
      (alone "relay" {
        submission = [ "192.0.2.1:587" ];
        directory.servers = [ "127.0.0.1:1701" ];
      })
    ];
    fails = "services.chasqui.relay.settings.submission: 192.0.2.1:587 is not on loopback";
  }
  {
    name = "the roles' resolver does not take the port of DNS itself";
    host = "relay2";
    modules = [ { chasqui.resolver.port = 53; } ];
    fails = "chasqui.resolver.port: 53 belongs to";
  }
  {
    name = "a setting of the wrong type is refused with its path";
    host = "service1";
    modules = [ { services.chasqui.mx.settings.limits.recipients = "many"; } ];
    fails = "services.chasqui.mx.settings.limits.recipients";
  }
  {
    name = "a choice that the binary does not have is refused";
    host = "storage1";
    modules = [ { services.chasqui.storage.settings.store.layout = "letters4"; } ];
    fails = "services.chasqui.storage.settings.store.layout";
  }
]
