# nixos/modules/services/monitoring/prometheus: its file, its rules and Alertmanager's.
{ lib, formats, ... }:
{
  covers = [
    [
      "services"
      "prometheus"
      "scrapeConfigs"
    ]
    [
      "services"
      "prometheus"
      "globalConfig"
    ]
    [
      "services"
      "prometheus"
      "rules"
    ]
    [
      "services"
      "prometheus"
      "alertmanagers"
    ]
    [
      "services"
      "prometheus"
      "alertmanager"
      "configuration"
    ]
  ];
  files =
    _: set:
    let
      cfg = set.services.prometheus or { };
      rules = cfg.rules or [ ];
    in
    lib.optionalAttrs (cfg.enable or false) {
      "etc/prometheus/prometheus.yml" = formats.yaml { } (
        {
          global = cfg.globalConfig or { };
          scrape_configs = cfg.scrapeConfigs or [ ];
          rule_files = lib.optional (rules != [ ]) "rules.yml";
        }
        // lib.optionalAttrs (cfg ? alertmanagers) { alerting.alertmanagers = cfg.alertmanagers; }
      );
    }
    // lib.optionalAttrs (rules != [ ]) {
      "etc/prometheus/rules.yml" = lib.concatStringsSep "\n" rules;
    }
    // lib.optionalAttrs (cfg.alertmanager.enable or false) {
      "etc/prometheus/alertmanager.yml" = formats.yaml { } cfg.alertmanager.configuration;
    };
}
