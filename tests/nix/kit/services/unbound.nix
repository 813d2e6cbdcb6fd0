# nixos/modules/services/networking/unbound.nix: the settings as unbound.conf, `server` first, with what NixOS sets itself.
{ lib, ... }:
let
  scalar = value: if builtins.isBool value then if value then "yes" else "no" else toString value;
  lines =
    indent: name: value:
    if builtins.isList value then
      lib.concatMap (lines indent name) value
    else if builtins.isAttrs value then
      [ "${indent}${name}:" ] ++ lib.concatLists (lib.mapAttrsToList (lines "${indent}  ") value)
    else
      [ "${indent}${name}: ${scalar value}" ];
in
{
  covers = [
    [
      "services"
      "unbound"
      "settings"
    ]
  ];
  files =
    config: _:
    let
      inherit (config.services) unbound;
      server = {
        directory = "/var/lib/unbound";
        username = ''""'';
        chroot = ''""'';
        pidfile = ''""'';
        auto-trust-anchor-file = "/var/lib/unbound/root.key";
        tls-cert-bundle = "/etc/ssl/certs/ca-certificates.crt";
        ip-freebind = true;
      }
      // unbound.settings.server;
    in
    lib.optionalAttrs (unbound.enable == true) {
      "etc/unbound/unbound.conf" = lib.concatMapStrings (line: line + "\n") (
        [ "server:" ]
        ++ lib.concatLists (lib.mapAttrsToList (lines "  ") server)
        ++ lib.concatLists (lib.mapAttrsToList (lines "") (removeAttrs unbound.settings [ "server" ]))
      );
    };
}
