# Certificates of a site (E19): what each host's must say, how the trusted host issues it, and what a host looks for in its own.
{ lib }:
let
  inherit (builtins)
    attrValues
    concatMap
    concatStringsSep
    elem
    filter
    map
    ;

  # Roles of the binary: each has a word of its own in the certificate. The rest of the platform only asks for a host of the site.
  ofBinary = [
    "directory"
    "mx"
    "storage"
    "proxy"
    "relay"
  ];
  rolesOf = site: host: [ "host" ] ++ filter (role: elem role ofBinary) site.hosts.${host}.roles;
  namesOf =
    site: host:
    [ (lib.fqdn site host) ] ++ lib.optional (lib.hasRole site host "http") (lib.nginx.tierName site);

  # What clients of the public services see on this host.
  publicNames =
    site: host:
    lib.unique (
      concatMap (
        entry:
        lib.optionals (
          lib.hasRole site host entry.role
          && elem entry.role [
            "mx"
            "proxy"
            "relay"
            "reverse-proxy"
          ]
        ) entry.names
      ) (attrValues site.publish)
    );

  issue =
    {
      name,
      roles,
      names,
    }:
    "chasqui pki issue pki ${name}"
    + lib.optionalString (roles != [ ]) " --role ${concatStringsSep "," roles}"
    + " --host ${concatStringsSep "," names}";
in
{
  # The certificates of a host, by what they are for.
  certificatesOf =
    site: host:
    {
      site = {
        certificate = lib.secret site host "certificate";
        key = lib.secret site host "key";
        authority = lib.secret site host "ca";
        names = namesOf site host;
        roles = rolesOf site host;
      };
    }
    // lib.optionalAttrs (publicNames site host != [ ]) {
      public = {
        certificate = lib.secret site host "public_certificate";
        key = lib.secret site host "public_key";
        authority = null;
        names = publicNames site host;
        roles = [ ];
      };
    };

  issueCommand =
    name: certificate:
    issue {
      inherit name;
      inherit (certificate) names roles;
    };

  # What the trusted host runs, in the folder that holds its folder `pki`: one authority, one certificate for each host, a key for each
  # view of DNS. Every command may be repeated, except the first.
  commands =
    site:
    lib.lines (
      [
        "# Certificates of the site `${site.name}'. The authority's key, pki/ca.key, never leaves this host."
        "test -e pki/ca.crt || chasqui pki init pki --site ${site.name}"
      ]
      ++ map (
        host:
        issue {
          name = host;
          roles = rolesOf site host;
          names = namesOf site host;
        }
      ) (lib.hosts site)
      ++ lib.optionals (lib.hostsWith site "dns" != [ ]) (
        [
          ""
          "# Keys with which DNS servers take zones from the primary, for ${site.secrets.dns} of each of them."
          "mkdir -p dns"
        ]
        ++ map (
          view: "test -e dns/${view}.key || tsig-keygen -a hmac-sha256 chasqui-${view} > dns/${view}.key"
        ) (lib.dns.viewNames site)
      )
    );

  # The table that `pki-check.sh` reads, a line for each certificate.
  table =
    name: certificates:
    let
      word =
        value:
        if value == null || value == [ ] then
          "-"
        else if builtins.isList value then
          concatStringsSep "," value
        else
          value;
      line =
        kind:
        let
          c = certificates.${kind};
        in
        "# ${
          issue {
            name = if kind == "site" then name else kind;
            inherit (c) names roles;
          }
        }\n"
        + concatStringsSep " " (
          map word [
            kind
            c.certificate
            c.key
            c.authority
            c.names
            c.roles
          ]
        )
        + "\n";
    in
    ''
      # What this host's certificates must say (E19), and how the trusted host issues them. From the site file.
      # kind certificate key authority names roles
    ''
    + lib.concatMapStrings line (builtins.attrNames certificates);
}
