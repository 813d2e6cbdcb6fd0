# What each service declares beside itself, for others to collect: the firewall reads `openings`, monitoring `metrics`, the log
# pair `logTags`, backups `backupPaths`. So a service that is added brings all of its own, and one that goes takes it along.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.chasqui = {
    openings = mkOption {
      default = { };
      description = "Ports of this host that others may reach, and who. Nothing else is open (E2).";
      type = types.attrsOf (
        types.submodule {
          options = {
            tcp = mkOption {
              type = types.listOf types.port;
              default = [ ];
              description = "TCP ports.";
            };
            udp = mkOption {
              type = types.listOf types.port;
              default = [ ];
              description = "UDP ports.";
            };
            protocols = mkOption {
              type = types.listOf types.str;
              default = [ ];
              example = [ "vrrp" ];
              description = "IP protocols without ports, by the names of `/etc/protocols`.";
            };
            from = mkOption {
              type = types.listOf types.str;
              example = [
                "role:mx"
                "network:management"
              ];
              description = ''
                Who may connect: `any`; `published`, those to whom the site file publishes the ports (`publish.*.from`);
                `knocked`, who has just knocked (E2);
                `role:NAME`, the hosts of the site with that role; `network:NAME`, a network's prefixes; `kind:NAME`, the prefixes of
                all networks of that kind; an address or a prefix.
              '';
            };
          };
        }
      );
    };

    metrics = mkOption {
      default = { };
      description = "Metrics pages of this host, by job, each with the alerts on it.";
      type = types.attrsOf (
        types.submodule {
          options = {
            port = mkOption {
              type = types.port;
              description = "The TCP port of the page.";
            };
            path = mkOption {
              type = types.str;
              default = "/metrics";
              description = "The path of the page.";
            };
            scheme = mkOption {
              type = types.enum [
                "http"
                "https"
              ];
              default = "http";
              description = "How the page is served where it is served.";
            };
            loopback = mkOption {
              type = types.bool;
              default = true;
              description = "Whether the page is served on loopback only, so that monitoring needs a forwarder. The roles of Chasqui allow nothing else.";
            };
            alerts = mkOption {
              default = [ ];
              description = "Alert rules for Prometheus.";
              type = types.listOf (
                types.submodule {
                  options = {
                    name = mkOption {
                      type = types.strMatching "[A-Za-z][A-Za-z0-9]*";
                      description = "The alert's name.";
                    };
                    expr = mkOption {
                      type = types.str;
                      description = "The PromQL expression that is true when something is wrong.";
                    };
                    for = mkOption {
                      type = types.str;
                      default = "5m";
                      description = "How long it must be true before somebody is told.";
                    };
                    severity = mkOption {
                      type = types.enum [
                        "warning"
                        "critical"
                      ];
                      default = "warning";
                      description = "`critical`: somebody must act now; `warning`: within days.";
                    };
                    summary = mkOption {
                      type = types.str;
                      description = "What is wrong and what to do, in a sentence.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };

    logTags = mkOption {
      type = types.attrsOf types.str;
      default = { };
      example = {
        mx = "chasqui-mx.service";
      };
      description = "The systemd unit behind each tag that the log pair files messages under (S2).";
    };

    renewals = mkOption {
      type = types.attrsOf (types.listOf types.str);
      default = { };
      example = {
        nginx = [ "/etc/chasqui/public/fullchain.pem" ];
      };
      description = "The keys and certificates that a unit takes when it starts, by the unit's name without `.service`. When one changes the unit takes it again.";
    };

    backupPaths = mkOption {
      default = { };
      description = "What backups take from this host (E16).";
      type = types.attrsOf (
        types.submodule {
          options = {
            path = mkOption {
              type = types.str;
              description = "The folder or file.";
            };
            before = mkOption {
              type = types.nullOr types.str;
              default = null;
              description = "A command that makes the path fit to be copied, such as a dump; run before each backup. Default none.";
            };
          };
        }
      );
    };

    healthChecks = mkOption {
      default = { };
      description = "How a client sees that a service of this host works. `chasqui.health` looks, and tells monitoring.";
      type = types.attrsOf (
        types.submodule {
          options = {
            port = mkOption {
              type = types.port;
              description = "The TCP port to connect to.";
            };
            expect = mkOption {
              type = types.nullOr types.str;
              default = null;
              example = "220 ";
              description = "How the greeting begins. Default: that the connection is taken is enough.";
            };
          };
        }
      );
    };
  };
}
