# A host's certificates (E19).
{
  lab,
  change,
  ...
}:
[
  {
    name = "a private key in the store is refused on every host";
    site = change lab { secrets.key = "/nix/store/00000000000000000000000000000000-{host}.key"; };
    host = "facade1";
    fails = "chasqui.pki.certificates.site.key: /nix/store/00000000000000000000000000000000-facade1.key is in the Nix store";
  }
]
