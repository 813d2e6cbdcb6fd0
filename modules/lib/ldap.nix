# OpenLDAP with multi-provider replication (E11): every host with the role `ldap` takes writes and copies the others' by syncrepl (RFC 4533),
# each known to the other by its certificate, so that no password of theirs exists.
{ lib }:
let
  inherit (builtins) concatStringsSep head map;
  ous = domains: map (domain: "ou=${domain}") domains;
in
rec {
  fromSite = site: host: {
    inherit (site.ldap) suffix;
    name = host;
    providers = map (name: {
      inherit name;
      fqdn = lib.fqdn site name;
    }) (lib.hostsWith site "ldap");
    domains = builtins.attrNames site.domains;
    organization = if site.description == "" then site.name else site.description;
  };

  url = provider: "ldaps://${provider.fqdn}";

  # Whose DN a provider has after it showed its certificate.
  providersDn = suffix: "ou=providers,${suffix}";

  # The configuration database (cn=config), as NixOS' module takes it.
  settings =
    {
      suffix,
      name,
      providers,
      credentials,
      schemas,
      dataDir,
    }:
    let
      position = provider: 1 + lib.indexOf provider providers;
      others = builtins.filter (provider: provider.name != name) providers;
      byProviders = ''by dn.children="${providersDn suffix}" read'';
      syncrepl =
        provider:
        concatStringsSep " " [
          "{${toString (lib.indexOf provider others)}}rid=${lib.zeroPadded 3 (position provider)}"
          "provider=${url provider}"
          "bindmethod=sasl saslmech=EXTERNAL"
          "tls_cert=${credentials}/host.crt"
          "tls_key=${credentials}/host.key"
          "tls_cacert=${credentials}/ca.crt"
          "tls_reqcert=demand"
          ''searchbase="${suffix}"''
          "type=refreshAndPersist"
          ''retry="5 12 60 +"''
          "network-timeout=3 timeout=10"
          "keepalive=60:5:10"
        ];
    in
    {
      attrs = {
        olcLogLevel = [
          "stats"
          "sync"
        ];
        olcTLSCACertificateFile = "${credentials}/ca.crt";
        olcTLSCertificateFile = "${credentials}/host.crt";
        olcTLSCertificateKeyFile = "${credentials}/host.key";
        # Those who show a certificate must show one of the site's; programs that only look up need none.
        olcTLSVerifyClient = "try";
        olcTLSProtocolMin = "3.4";
        olcServerID = map (provider: "${toString (position provider)} ${url provider}") providers;
        olcAuthzRegexp = [
          ''{0}"gidNumber=0\+uidNumber=0,cn=peercred,cn=external,cn=auth" "cn=admin,${suffix}"''
          ''{1}"^cn=(${
            concatStringsSep "|" (map (provider: provider.name) providers)
          })$" "cn=$1,${providersDn suffix}"''
        ];
        # No bind without TLS but on the local socket, which counts as 256 bits.
        olcLocalSSF = "256";
        olcSecurity = [ "ssf=128" ];
        olcDisallows = [ "bind_anon" ];
        olcIdleTimeout = "900";
      };
      children = {
        "cn=schema".includes = schemas;
        "olcDatabase={-1}frontend".attrs = {
          objectClass = [
            "olcDatabaseConfig"
            "olcFrontendConfig"
          ];
          olcDatabase = "{-1}frontend";
          olcSizeLimit = "500";
          olcAccess = [
            ''{0}to dn.base="" by * read''
            ''{1}to dn.base="cn=subschema" by * read''
          ];
        };
        "olcDatabase={0}config".attrs = {
          objectClass = "olcDatabaseConfig";
          olcDatabase = "{0}config";
          olcAccess = [ "{0}to * by * none" ];
        };
        "olcDatabase={1}mdb" = {
          attrs = {
            objectClass = [
              "olcDatabaseConfig"
              "olcMdbConfig"
            ];
            olcDatabase = "{1}mdb";
            olcDbDirectory = dataDir;
            olcSuffix = suffix;
            olcRootDN = "cn=admin,${suffix}";
            olcDbMaxSize = "10737418240";
            olcDbIndex = [
              "objectClass eq"
              "entryCSN eq"
              "entryUUID eq"
              "uid eq"
              "mail eq"
              "cn eq,sub"
              "sn eq,sub"
            ];
            olcLimits = [ ''{0}dn.children="${providersDn suffix}" size=unlimited time=unlimited'' ];
            olcAccess = [
              "{0}to attrs=userPassword ${byProviders} by self =w by anonymous auth by * none"
              "{1}to * ${byProviders} by self read by users read by * none"
            ];
          }
          // lib.optionalAttrs (others != [ ]) {
            olcSyncrepl = map syncrepl others;
            olcMultiProvider = "TRUE";
          };
          children."olcOverlay={0}syncprov".attrs = {
            objectClass = [
              "olcOverlayConfig"
              "olcSyncProvConfig"
            ];
            olcOverlay = "{0}syncprov";
            olcSpCheckpoint = "100 10";
            olcSpSessionlog = "10000";
          };
        };
      };
    };

  # The entries that the tree begins with: its root, the providers, and a branch for each mail domain.
  baseLdif =
    {
      suffix,
      domains,
      organization,
    }:
    let
      root = lib.splitOn "=" (head (lib.splitOn "," suffix));
      attribute = head root;
      branch = ou: ''

        dn: ${ou},${suffix}
        objectClass: organizationalUnit
        ${builtins.replaceStrings [ "ou=" ] [ "ou: " ] ou}
      '';
    in
    ''
      # From the site file; a change there changes this file.
      dn: ${suffix}
      ${
        if attribute == "dc" then
          "objectClass: dcObject\nobjectClass: organization\no: ${organization}\ndc: ${lib.last root}"
        else
          "objectClass: organization\no: ${lib.last root}"
      }
    ''
    + lib.concatMapStrings branch ([ "ou=providers" ] ++ ous domains);
}
