# WireGuard meshes (E19) and the administrators' way in (E2), by systemd-networkd.
{
  config,
  lib,
  chasquiLib,
  ...
}:
let
  inherit (lib) mkOption types;
  cfg = config.chasqui.vpn;
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  known = config.chasqui.roles != [ ];
  hasKnock = lib.elem "knock" config.chasqui.roles;
  # systemd gives the key to the daemon alone; the file itself stays root's.
  credential = "chasqui-wireguard";
in
{
  options.chasqui.vpn = {
    enable = mkOption {
      type = types.bool;
      default = cfg.meshes != { };
      defaultText = lib.literalMD "whether the host is in a mesh";
      description = "Whether this host is in WireGuard meshes.";
    };

    keyFile = mkOption {
      type = types.str;
      default =
        if known then chasquiLib.secret site host "wireguard" else "/etc/chasqui/secrets/wireguard.key";
      defaultText = lib.literalMD "`secrets.wireguard` of the site file";
      description = "The host's private key, as `wg genkey` prints it, in a file outside the Nix store.";
    };

    meshes = mkOption {
      default = if known then chasquiLib.vpn.fromSite site host else { };
      defaultText = lib.literalMD "the networks of the host that run `over` others";
      description = "The meshes, by the name of their interface.";
      type = types.attrsOf (
        types.submodule {
          options = {
            network = mkOption {
              type = types.str;
              default = "";
              description = "The network of the site that it is.";
            };
            port = mkOption {
              type = types.port;
              default = 51820;
              description = "The UDP port, the same on all members.";
            };
            addresses = mkOption {
              type = types.listOf types.str;
              example = [ "10.21.2.11/24" ];
              description = "This host's addresses in the mesh, with the length of the mesh's prefix.";
            };
            mtu = mkOption {
              type = types.ints.between 1280 65455;
              default = 1420;
              description = "Octets of the largest packet inside. Default the wire's less 80.";
            };
            members = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The other members' addresses below the mesh: they may always send to the port.";
            };
            persons = mkOption {
              type = types.listOf types.str;
              default = [ ];
              description = "The administrators among the peers.";
            };
            peers = mkOption {
              description = "Who else is in it.";
              type = types.listOf (
                types.submodule {
                  options = {
                    name = mkOption {
                      type = types.str;
                      description = "A host or an administrator.";
                    };
                    publicKey = mkOption {
                      type = types.nullOr types.str;
                      description = "Its public key.";
                    };
                    allowedIPs = mkOption {
                      type = types.listOf types.str;
                      description = "Its addresses in the mesh; packets from it with another sender are dropped.";
                    };
                    endpoint = mkOption {
                      type = types.nullOr types.str;
                      default = null;
                      description = "Where it is reached; null for one who comes to us.";
                    };
                  };
                }
              );
            };
          };
        }
      );
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = chasquiLib.notInStore cfg.keyFile;
        message = "chasqui.vpn.keyFile: ${cfg.keyFile} is in the Nix store, where everybody can read it; keep the key in a file outside, such as /etc/chasqui/secrets/wireguard.key.";
      }
      {
        assertion = !known || site.hosts.${host}.wireguard_key != null;
        message = "hosts.${toString host}.wireguard_key: the host is in a mesh and has no key; make one with `wg genkey', keep it at ${cfg.keyFile}, and put what `wg pubkey' says of it here.";
      }
    ]
    ++ lib.concatLists (
      lib.mapAttrsToList (
        name: mesh:
        map (peer: {
          assertion = peer.publicKey != null;
          message = "hosts.${peer.name}.wireguard_key: ${peer.name} is in the mesh `${mesh.network}' and has no key; put the public half of its key here.";
        }) mesh.peers
        ++ map (peer: {
          assertion = peer.endpoint != null || lib.elem peer.name mesh.persons;
          message = "chasqui.vpn.meshes.${name}: this host and ${peer.name} have none of the networks below `${mesh.network}' in common; give both an address in one of them, or add to `over' a network that both have.";
        }) mesh.peers
        ++ [
          {
            assertion =
              let
                twins = lib.filter (other: cfg.meshes.${other}.port == mesh.port) (lib.attrNames cfg.meshes);
              in
              lib.length twins == 1;
            message = "chasqui.vpn.meshes.${name}.port: ${toString mesh.port} is the port of several meshes of this host; give each of them its own `port' in the site file.";
          }
          {
            assertion =
              mesh.persons == [ ] || !known || hasKnock || lib.hasAttr "knock-${name}" config.chasqui.openings;
            message = "hosts.${toString host}.roles: administrators enter `${mesh.network}' here, and the port opens only after a knock (E2); add the role `knock'.";
          }
        ]
      ) cfg.meshes
    );

    systemd.services.systemd-networkd.serviceConfig = {
      LoadCredential = [ "${credential}:${cfg.keyFile}" ];
      # Without the file the meshes do not come up; the other interfaces do.
      SetCredential = [ "${credential}:none" ];
    };

    systemd.network.netdevs = lib.mapAttrs' (
      name: mesh:
      lib.nameValuePair "40-${name}" {
        netdevConfig = {
          Name = name;
          Kind = "wireguard";
          MTUBytes = toString mesh.mtu;
        };
        wireguardConfig = {
          ListenPort = mesh.port;
          PrivateKeyFile = "/run/credentials/systemd-networkd.service/${credential}";
        };
        wireguardPeers = map (
          peer:
          {
            PublicKey = peer.publicKey;
            AllowedIPs = peer.allowedIPs;
          }
          // lib.optionalAttrs (peer.endpoint != null) { Endpoint = peer.endpoint; }
        ) mesh.peers;
      }
    ) cfg.meshes;

    systemd.network.networks = lib.mapAttrs' (
      name: mesh:
      lib.nameValuePair "40-${name}" {
        matchConfig.Name = name;
        address = mesh.addresses;
        networkConfig = {
          DHCP = "no";
          IPv6AcceptRA = false;
          LinkLocalAddressing = "no";
        };
        linkConfig.RequiredForOnline = false;
      }
    ) cfg.meshes;

    chasqui.openings = lib.mapAttrs' (
      name: mesh:
      lib.nameValuePair "mesh-${name}" {
        udp = [ mesh.port ];
        from = mesh.members;
      }
    ) (lib.filterAttrs (_: mesh: mesh.members != [ ]) cfg.meshes);
  };
}
