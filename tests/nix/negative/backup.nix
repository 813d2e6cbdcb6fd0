# Backups.
{
  lab,
  change,
  ...
}:
[
  {
    name = "the key of backups in the store is refused";
    site = change lab { secrets.backup = "/nix/store/00000000000000000000000000000000-secrets/file"; };
    host = "ops1";
    fails = "chasqui.backup.key: the path lies in the Nix store";
  }
  {
    name = "a key that is none is refused";
    site = change lab { backup.keys = [ "the key of the backup host" ]; };
    host = "storage1";
    fails = "chasqui.backup.authorizedKeys: a key is not a line that begins with its kind";
  }
  {
    name = "a name that is no folder's is refused";
    host = "storage1";
    modules = [ { chasqui.backupPaths."../mail".path = "/var/lib/mail"; } ];
    fails = "chasqui.backupPaths: a name becomes a folder of the backup host";
  }
]
