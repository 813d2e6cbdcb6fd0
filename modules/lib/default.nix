# What the modules know about a site: pure functions of builtins, without nixpkgs, so that they can be tested anywhere.
#
# `load ./site.toml` reads a site, refuses what the schema refuses and fills in every default. The functions of `model.nix` answer questions
# about it; each further file makes one part of the platform from it, first as typed values, then as text.
let
  base = import ./base.nix;
  address = import ./address.nix { inherit base; };
  schema = import ./schema.nix {
    inherit base;
    schema = builtins.fromJSON (builtins.readFile ./site.schema.json);
  };
  model = import ./model.nix { inherit base address; };

  check =
    data:
    let
      errors = schema.errors data;
    in
    if (data.version or null) != 1 then
      throw "version: this site file is of version ${
        toString (data.version or "none")
      }; these modules read version 1"
    else if errors != [ ] then
      throw "the site file is wrong:\n${base.concatMapStrings (error: "  ${error}\n") errors}"
    else
      schema.filled data;

  lib =
    base
    // address
    // model
    // {
      inherit base check;
      errors = schema.errors;
      network = import ./network.nix { inherit base model address; };
      storage =
        import ./storage.nix { inherit base model; } // import ./storage-text.nix { inherit base; };
      outbound = import ./outbound.nix { inherit base model; };
      roles = import ./roles.nix {
        inherit base model address;
        inherit (lib) outbound;
      };
      load = path: check (builtins.fromTOML (builtins.readFile path));

      inherit (import ./reach.nix { inherit lib; }) addressToward;

      # The parts of the platform, a file each.
      backup = import ./backup.nix { inherit lib; };
      database = import ./database.nix { inherit lib; };
      dns = import ./dns.nix { inherit lib; };
      facade = import ./facade.nix { inherit lib; };
      firewall =
        import ./firewall.nix { inherit lib; }
        // import ./firewall-zones.nix { inherit lib; }
        // import ./firewall-text.nix { inherit lib; };
      knock = import ./knock.nix { inherit lib; };
      ldap = import ./ldap.nix { inherit lib; };
      monitoring = import ./monitoring.nix { inherit lib; };
      router = import ./router.nix { inherit lib; } // import ./router-text.nix { inherit lib; };
      vpn = import ./vpn.nix { inherit lib; };
      vrrp = import ./vrrp.nix { inherit lib; };
      nginx = import ./nginx.nix { inherit lib; };
      pki = import ./pki.nix { inherit lib; };
      syslog = import ./syslog.nix { inherit lib; };
      web = import ./web.nix { inherit lib; };
      xen = import ./xen.nix { inherit lib; };
    };
in
lib
