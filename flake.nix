{
  description = "Chasqui: mail for a whole country, from one site file";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      chasquiLib = import ./modules/lib;
      forSystems =
        f:
        lib.genAttrs [
          "x86_64-linux"
          "aarch64-linux"
        ] (system: f nixpkgs.legacyPackages.${system});
      packagesOf = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system};

      # The modules of a folder, by name: `x.nix`, not what belongs to one (`x.metrics.nix`); none if there is no such folder.
      nixFiles =
        folder:
        if builtins.pathExists folder then
          lib.listToAttrs (
            lib.concatMap (
              file:
              lib.optional (builtins.match "[a-z0-9-]+\\.nix" file != null && file != "default.nix") (
                lib.nameValuePair (lib.removeSuffix ".nix" file) (folder + "/${file}")
              )
            ) (lib.attrNames (builtins.readDir folder))
          )
        else
          { };

      # The site files below a folder, by the names of their folders.
      sitesIn =
        folder:
        lib.mapAttrs (site: _: folder + "/${site}/site.toml") (
          lib.filterAttrs (site: _: builtins.pathExists (folder + "/${site}/site.toml")) (
            builtins.readDir folder
          )
        );
      sites = sitesIn ./hosts;

      # Our own package, without an overlay: the tests' machines have a fixed package set.
      withPackage =
        { pkgs, ... }:
        {
          services.chasqui.package = lib.mkDefault (packagesOf pkgs).chasqui;
        };
      alone = module: {
        imports = [
          ./modules/site.nix
          ./modules/registry.nix
          ./modules/renewals.nix
          ./modules/services/package.nix
          module
          withPackage
        ];
      };

      # SITE-HOST for each host of each site below a folder, as for this flake's own sites. A site may say more of a host in `HOST.nix`
      # beside its site file.
      nixosConfigurations =
        folder:
        lib.concatMapAttrs (
          site: file:
          lib.mapAttrs' (
            host: _:
            lib.nameValuePair "${site}-${host}" (
              nixpkgs.lib.nixosSystem {
                modules = [
                  self.nixosModules.default
                  {
                    chasqui.site.file = file;
                    chasqui.host = host;
                    # Weaker than what nixos-generate-config writes.
                    nixpkgs.hostPlatform = lib.mkOverride 1100 "x86_64-linux";
                  }
                ]
                ++ lib.optional (builtins.pathExists (folder + "/${site}/${host}.nix")) (
                  folder + "/${site}/${host}.nix"
                );
              }
            )
          ) (chasquiLib.load file).hosts
        ) (sitesIn folder);
    in
    {
      packages = forSystems (pkgs: {
        default = (packagesOf pkgs).chasqui;
        chasqui = pkgs.callPackage ./nix/package.nix { };
        docs = pkgs.callPackage ./nix/docs.nix { };
      });

      overlays.default = final: _: {
        chasqui = final.callPackage ./nix/package.nix { };
      };

      nixosModules = {
        # Everything: a host of a site file needs no more.
        default.imports = [
          ./modules
          withPackage
        ];
      }
      # One part by itself, for hosts that are not of a site.
      // lib.mapAttrs (_: alone) (
        nixFiles ./modules/platform
        // removeAttrs (nixFiles ./modules/services) [
          "package"
          "role"
        ]
      );

      # For the repository of an institution: `nixosConfigurations = chasqui.lib.nixosConfigurations ./hosts`. `lib.site` answers questions
      # about a site file without nixpkgs.
      lib = {
        inherit nixosConfigurations;
        site = chasquiLib;
      };
      nixosConfigurations = nixosConfigurations ./hosts;

      checks = forSystems (
        pkgs:
        lib.mapAttrs' (
          site: file:
          lib.nameValuePair "site-${site}" (
            pkgs.runCommand "site-${site}" { }
              "${lib.getExe (packagesOf pkgs).chasqui} site check ${file} > $out"
          )
        ) sites
        # Every host of a site evaluates, its assertions included; none is built. A site by itself needs less memory than all of them.
        // lib.mapAttrs' (
          site: _:
          lib.nameValuePair "hosts-${site}" (
            pkgs.writeText "hosts-${site}" (
              lib.concatStrings (
                lib.mapAttrsToList (
                  name: host:
                  "${name} ${builtins.unsafeDiscardStringContext host.config.system.build.toplevel.drvPath}\n"
                ) (lib.filterAttrs (name: _: lib.hasPrefix "${site}-" name) self.nixosConfigurations)
              )
            )
          )
        ) sites
        // {
          package = (packagesOf pkgs).chasqui;
        }
        // lib.mapAttrs' (
          name: file:
          lib.nameValuePair "vm-${name}" (
            pkgs.testers.runNixOSTest {
              imports = [ file ];
              defaults.imports = [ self.nixosModules.default ];
            }
          )
        ) (nixFiles ./tests/vm)
      );

      devShells = forSystems (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { };
      });

      formatter = forSystems (pkgs: pkgs.nixfmt-tree);

      apps = forSystems (pkgs: {
        # A whole site on this machine, as its user, on loopback.
        demo = {
          type = "app";
          program = "${pkgs.writeShellScript "chasqui-demo" ''exec ${lib.getExe (packagesOf pkgs).chasqui} demo "$@"''}";
          meta.description = "A whole site on this machine: all roles, two storage nodes, two users";
        };
      });
    };
}
