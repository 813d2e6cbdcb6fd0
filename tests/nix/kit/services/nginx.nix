# nixos/modules/services/web-servers/nginx: the file as far as it comes from what our modules set.
{ lib, ... }:
{
  covers = [
    [
      "services"
      "nginx"
      "appendHttpConfig"
    ]
    [
      "services"
      "nginx"
      "serverTokens"
    ]
  ];
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
          server_tokens ${if config.services.nginx.serverTokens == true then "on" else "off"};

        ${config.services.nginx.appendHttpConfig}}
      '';
    };
}
