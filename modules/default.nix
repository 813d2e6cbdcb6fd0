# Everything that turns a NixOS host into what a site file says (E18). Each module does nothing until the site gives the host its role, or
# until somebody enables it.
{
  imports = [
    ./site.nix
    ./registry.nix
    ./network.nix
    ./basics.nix
    ./services/directory.nix
    ./services/mx.nix
    ./services/proxy.nix
    ./services/storage.nix
    ./platform/dns.nix
    ./platform/database.nix
    ./platform/ldap.nix
    ./platform/metrics.nix
    ./platform/monitoring.nix
  ];
}
