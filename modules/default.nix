# Everything that turns a NixOS host into what a site file says (E18). Each module does nothing until the site gives the host its role, or
# until somebody enables it.
{
  imports = [
    ./site.nix
    ./registry.nix
    ./renewals.nix
    ./network.nix
    ./basics.nix
    ./services/directory.nix
    ./services/directory-copies.nix
    ./services/mx.nix
    ./services/proxy.nix
    ./services/storage.nix
    ./platform/firewall.nix
    ./platform/vrrp.nix
    ./platform/router.nix
    ./platform/facade.nix
    ./platform/vpn.nix
    ./platform/knock.nix
    ./platform/dns.nix
    ./platform/http.nix
    ./platform/reverse-proxy.nix
    ./platform/pki.nix
    ./platform/syslog.nix
    ./platform/web.nix
    ./platform/database.nix
    ./platform/ldap.nix
    ./platform/metrics.nix
    ./platform/monitoring.nix
    ./platform/backup.nix
    ./platform/storage-array.nix
    ./platform/storage-client.nix
    ./platform/xen-host.nix
    ./platform/xen-guest.nix
    ./platform/blade.nix
  ];
}
