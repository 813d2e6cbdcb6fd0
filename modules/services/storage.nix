# A storage node: takes mail by LMTP, keeps it on disk, serves it by IMAP and POP3 (S3, S4).
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  root = cfg.settings.store.root;
  standard = "/var/lib/chasqui/mail";
  mounts =
    if site == null || !(site.hosts ? ${toString host}) then
      [ ]
    else
      lib.filter (mount: mount != null) (
        map (volume: volume.mount) (lib.attrValues site.hosts.${host}.volumes)
      );
  role =
    import ./role.nix
      {
        inherit
          config
          lib
          pkgs
          chasquiLib
          ;
      }
      {
        role = "storage";
        title = "the storage node";
        derived = {
          metrics = "127.0.0.1:${toString (import ./storage.metrics.nix).port}";
        }
        // lib.recursiveUpdate {
          store.root = standard;
          store.host = config.networking.hostName;
        } (lib.optionalAttrs (site != null) (chasquiLib.roles.storage site host));
        reloadable = [
          "limits"
          "timeouts"
          "tls"
        ];
        listens = [
          "lmtp"
          "imap"
          "pop3"
        ];
        certificate = "tls";
        serviceConfig = {
          # The mount may be new and root's.
          ExecStartPre = "+${lib.getExe' pkgs.coreutils "install"} -d -m 0700 -o chasqui-storage -g chasqui-storage ${root}";
          # As long as what it acknowledges takes to reach the disks.
          TimeoutStopSec = 90;
        }
        // (
          if root == standard then
            {
              StateDirectory = "chasqui/mail";
              StateDirectoryMode = "0700";
            }
          else
            { ReadWritePaths = [ root ]; }
        );
        assertions = [
          {
            assertion = lib.hasPrefix "/" root;
            message = "services.chasqui.storage.settings.store.root: `${root}' is no absolute path; set it to the folder where mail is kept.";
          }
          {
            assertion =
              mounts == [ ] || lib.any (mount: root == mount || lib.hasPrefix "${mount}/" root) mounts;
            message = "services.chasqui.storage.settings.store.root: ${root} is on none of this host's volumes (${lib.concatStringsSep ", " mounts}), so mail would fill the system disk; set it to a volume's mount, or mount the volume `mail' there in the site file.";
          }
        ];
        extra = {
          # Not before its file system is there, and stopped before it goes.
          systemd.services.chasqui-storage = {
            after = [ "chasqui-directory.service" ];
            unitConfig.RequiresMountsFor = [ root ];
          };
          chasqui.openings.storage-lmtp = {
            tcp = role.openPorts [ "lmtp" ];
            from = [
              "role:mx"
              "role:relay"
            ];
          };
          chasqui.openings.storage-mailboxes = {
            tcp = role.openPorts [
              "imap"
              "pop3"
            ];
            from = [ "role:proxy" ];
          };
          chasqui.backupPaths.mail.path = root;
        };
      };
  inherit (role) cfg;
in
{
  imports = [
    ./package.nix
    ../renewals.nix
  ];
  inherit (role) options config;
}
