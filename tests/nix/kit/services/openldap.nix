# nixos/modules/services/databases/openldap.nix: the tree of settings as one LDIF file, which slapadd reads before slapd starts.
{ lib, ... }:
let
  value =
    name: value:
    if builtins.isAttrs value then
      "${name}:< file://${value.path}\n"
    else
      "${name}: ${builtins.replaceStrings [ "\n" ] [ "\n " ] value}\n";
  entry =
    dn: node:
    let
      attrs = node.attrs or { };
    in
    "dn: ${dn}\n"
    + lib.concatStrings (
      lib.concatLists (
        lib.mapAttrsToList (
          name: values: map (value name) (if builtins.isList values then values else [ values ])
        ) attrs
      )
    )
    + "\n"
    + lib.concatMapStrings (path: "include: file://${path}\n\n") (node.includes or [ ])
    + lib.concatStrings (
      lib.mapAttrsToList (name: child: entry "${name},${dn}" child) (node.children or { })
    );
in
{
  covers = [
    [
      "services"
      "openldap"
      "settings"
    ]
  ];
  files =
    config: _:
    let
      inherit (config.services.openldap) settings;
    in
    lib.optionalAttrs (config.services.openldap.enable == true) {
      "etc/openldap/config.ldif" = entry "cn=config" {
        attrs = {
          objectClass = "olcGlobal";
          cn = "config";
          olcPidFile = "/run/openldap/slapd.pid";
        }
        // settings.attrs;
        children = settings.children // {
          "cn=schema" = {
            attrs = {
              cn = "schema";
              objectClass = "olcSchemaConfig";
            };
          }
          // settings.children."cn=schema";
        };
      };
    };
}
