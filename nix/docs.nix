# The handbook, and the reference of the NixOS modules' options as one page.
{
  lib,
  pkgs,
  runCommand,
  nixosOptionsDoc,
}:
let
  evaluated = lib.evalModules {
    modules = [
      ../modules
      {
        # Only our own options are wanted; NixOS' are neither declared nor checked here.
        _module.check = false;
        _module.args.pkgs = pkgs // {
          chasqui = pkgs.callPackage ./package.nix { };
        };
      }
    ];
  };
  reference = nixosOptionsDoc {
    options = {
      inherit (evaluated.options) chasqui;
      services.chasqui = evaluated.options.services.chasqui;
    };
    # Declarations by their paths in the repository, not in the store.
    transformOptions =
      option:
      option
      // {
        declarations = map (
          file: lib.removePrefix (toString ../. + "/") (toString file)
        ) option.declarations;
      };
    warningsAreErrors = true;
  };
in
runCommand "chasqui-docs" { } ''
  mkdir -p $out/share/doc/chasqui
  cp -r ${../docs}/. $out/share/doc/chasqui/
  chmod -R u+w $out/share/doc/chasqui
  cp ${reference.optionsCommonMark} $out/share/doc/chasqui/reference/nixos-options.md
''
