# nixos/modules/services/mail/spamassassin.nix: local.cf as it is.
{ lib, ... }:
{
  covers = [
    [
      "services"
      "spamassassin"
      "config"
    ]
  ];
  files =
    config: _:
    lib.optionalAttrs (config.services.spamassassin.enable == true) {
      "etc/mail/spamassassin/local.cf" = config.services.spamassassin.config;
    };
}
