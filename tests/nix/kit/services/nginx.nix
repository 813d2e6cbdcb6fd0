# nixos/modules/services/web-servers/nginx: the file as far as it comes from what our modules set.
{ lib, ... }:
{
  covers = [ [ "services" "nginx" "appendHttpConfig" ] ];
  files =
    config: _:
    lib.optionalAttrs (config.services.nginx.enable == true) {
      "etc/nginx/nginx.conf" = ''
        pid /run/nginx/nginx.pid;
        error_log stderr;
        daemon off;

        events {
        }

        http {
        ${config.services.nginx.appendHttpConfig}}
      '';
    };
}
