# What can be said of one Xen guest. Every value comes from the site file; an expert may lay his own over it.
{
  lib,
  site,
  xen,
}:
{ name, ... }:
let
  inherit (lib) mkOption types;
in
{
  options = {
    cores = mkOption {
      type = types.ints.positive;
      description = "Virtual cores.";
    };
    memory = mkOption {
      type = types.ints.positive;
      description = "MiB of memory.";
    };
    disk = mkOption {
      type = types.ints.positive;
      description = "Octets of its disk, when it is made.";
    };
    uuid = mkOption {
      type = types.strMatching "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
      default = xen.uuid (if site == null then { name = ""; } else site) name;
      defaultText = lib.literalMD "from the site's and the guest's name";
      description = "Its identity.";
    };
    roles = mkOption {
      type = types.listOf types.str;
      default = [ ];
      description = "What it does, for whoever reads its configuration.";
    };
    interfaces = mkOption {
      default = [ ];
      description = "Its network interfaces, in the order in which it numbers them.";
      type = types.listOf (
        types.submodule {
          options = {
            name = mkOption {
              type = types.str;
              description = "What the guest calls it.";
            };
            mac = mkOption {
              type = types.strMatching "([0-9a-f]{2}:){5}[0-9a-f]{2}";
              description = "Its hardware address.";
            };
            network = mkOption {
              type = types.str;
              default = "";
              description = "The network that it is in.";
            };
            bridge = mkOption {
              type = types.str;
              description = "The bridge of the host that it is on.";
            };
          };
        }
      );
    };
    settings = mkOption {
      type = types.attrsOf (
        types.oneOf [
          types.int
          types.str
          (types.listOf types.str)
        ]
      );
      default = { };
      example = {
        cpu_weight = 512;
      };
      description = "Further keys of xl.cfg(5), or other values for those that are derived.";
    };
  };
}
