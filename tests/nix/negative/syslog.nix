# Central logs (S2).
{
  lab,
  change,
  ...
}:
[
  {
    name = "a host with nobody to send its logs to is refused";
    site = null;
    modules = [ { chasqui.syslog.enable = true; } ];
    fails = "chasqui.syslog.servers: there is nobody to send logs to";
  }
  {
    name = "a log host that hears nobody is refused";
    host = "ops1";
    modules = [ { chasqui.syslog.collect.peers = [ ]; } ];
    fails = "chasqui.syslog.collect.peers: nobody may send logs here";
  }
  {
    name = "old logs are not deleted from the root";
    host = "ops2";
    modules = [ { chasqui.syslog.collect.folder = "/"; } ];
    fails = "chasqui.syslog.collect.folder: `/' is no absolute path of a folder";
  }
  {
    name = "a private key in the store is refused";
    site = change lab { secrets.key = "/nix/store/00000000000000000000000000000000-{host}.key"; };
    host = "blade1";
    fails = "chasqui.syslog.tls: a path lies in the Nix store";
  }
]
