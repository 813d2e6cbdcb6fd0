# The client-facing IMAP and POP3 proxy: one name for every user, whichever node owns the mailbox (S9).
{
  config,
  lib,
  pkgs,
  chasquiLib,
  ...
}:
let
  site = config.chasqui.site.data;
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
        role = "proxy";
        title = "the mailbox proxy";
        derived = {
          metrics = "127.0.0.1:${toString (import ./proxy.metrics.nix).port}";
        }
        // lib.optionalAttrs (site != null) (chasquiLib.roles.proxy site config.chasqui.host);
        reloadable = [
          "guessing"
          "limits"
          "plaintext_login"
          "public_tls"
          "timeouts"
          "tls"
        ];
        inherit listens;
        certificate = "public_tls";
        extra = {
          systemd.services.chasqui-proxy.after = [ "chasqui-directory.service" ];
          chasqui.openings.proxy = {
            tcp = role.openPorts listens;
            from = [
              "published"
              "role:facade"
            ];
          };
          chasqui.healthChecks = lib.listToAttrs (
            map (port: {
              name = "proxy-${toString port}";
              value = {
                inherit port;
                # Inside TLS there is no greeting to look at.
                expect =
                  if lib.elem port (role.openPorts [ "imap" ]) then
                    "* OK"
                  else if lib.elem port (role.openPorts [ "pop3" ]) then
                    "+OK"
                  else
                    null;
              };
            }) (role.openPorts listens)
          );
        };
      };
  listens = [
    "imap"
    "imaps"
    "pop3"
    "pop3s"
  ];
in
{
  imports = [
    ./package.nix
    ../renewals.nix
  ];
  inherit (role) options config;
}
