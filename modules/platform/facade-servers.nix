# What a balancer spreads connections over, and how it watches the servers (E4): the options; facade.nix acts on them.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  isFacade = lib.elem "facade" config.chasqui.roles;
  derived =
    if isFacade then chasquiLib.facade.fromSite config.chasqui.site.data config.chasqui.host else null;
in
{
  options.chasqui.facade = {
    virtualServers = mkOption {
      default = if derived != null then derived.virtualServers else { };
      defaultText = lib.literalMD "one for each façade address and port that the site publishes";
      description = "The virtual servers, by any name.";
      type = types.attrsOf (
        types.submodule {
          options = {
            address = mkOption {
              type = types.str;
              description = "The address that clients, or the router, send to.";
            };
            port = mkOption {
              type = types.port;
              description = "The port, here and on the servers.";
            };
            protocol = mkOption {
              type = types.enum [
                "tcp"
                "udp"
              ];
              default = "tcp";
              description = "The protocol.";
            };
            comment = mkOption {
              type = types.singleLineStr;
              default = "";
              description = "What it is for.";
            };
            scheduler = mkOption {
              type = types.enum [
                "wlc"
                "wrr"
                "sh"
                "mh"
              ];
              default = "wlc";
              description = "How connections are spread: by the fewest, in turn, or by a hash of the client; all heed the weights.";
            };
            persistence = mkOption {
              type = types.nullOr types.ints.positive;
              default = null;
              description = "For how many seconds a client keeps its server. Default: each connection is free to go anywhere.";
            };
            method = mkOption {
              type = types.enum [
                "DR"
                "NAT"
                "TUN"
              ];
              default = "DR";
              description = "How packets reach servers: unchanged over the same wire (`DR`), with another destination (`NAT`, servers answer through this host), or in a tunnel (`TUN`).";
            };
            check = mkOption {
              type = types.enum [
                "smtp"
                "tcp"
                "dns"
                "udp"
                "none"
              ];
              default = "tcp";
              description = "How keepalived itself tries a server.";
            };
            greeting = mkOption {
              type = types.nullOr (
                types.enum [
                  "smtp"
                  "imap"
                  "pop"
                ]
              );
              default = null;
              description = "The protocol of a server that speaks first and in clear: its greeting is waited for and timed. Default: the connection is.";
            };
            sorryServer = mkOption {
              default = null;
              description = "Where connections go when no server works. Default: clients are refused at once, and try another of the name's addresses (E1).";
              type = types.nullOr (
                types.submodule {
                  options = {
                    address = mkOption {
                      type = types.str;
                      description = "Its address.";
                    };
                    port = mkOption {
                      type = types.port;
                      description = "Its port.";
                    };
                  };
                }
              );
            };
            realServers = mkOption {
              description = "The servers, by host.";
              type = types.attrsOf (
                types.submodule {
                  options = {
                    address = mkOption {
                      type = types.str;
                      description = "Its address.";
                    };
                    weight = mkOption {
                      type = types.ints.between 0 253;
                      default = 100;
                      description = "Its share when it answers promptly; 0 gets no new connections.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };

    check = {
      interval = mkOption {
        type = types.ints.positive;
        default = 5;
        description = "Seconds from one try of a server to the next.";
      };
      timeout = mkOption {
        type = types.ints.positive;
        default = 3;
        description = "Seconds that a server has to answer.";
      };
      retries = mkOption {
        type = types.ints.unsigned;
        default = 2;
        description = "Further tries before a server counts as failed.";
      };
      helo = mkOption {
        type = types.str;
        default = if derived != null then derived.helo else config.networking.hostName;
        defaultText = lib.literalMD "the host's internal name";
        description = "The name that this host gives to mail exchangers.";
      };
      zone = mkOption {
        type = types.nullOr types.str;
        default = if derived != null then derived.zone else null;
        defaultText = lib.literalMD "the first domain of the site";
        description = "The zone that DNS servers are asked for.";
      };
    };
  };
}
