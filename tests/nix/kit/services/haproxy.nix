# nixos/modules/services/networking/haproxy.nix: the text as it is.
{ lib, ... }:
{
  covers = [
    [
      "services"
      "haproxy"
      "config"
    ]
  ];
  files =
    config: _:
    lib.optionalAttrs (config.services.haproxy.enable == true) {
      "etc/haproxy.cfg" = config.services.haproxy.config;
    };
}
