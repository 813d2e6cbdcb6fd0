# Stub evaluation, not NixOS: evaluates modules against typed stubs of NixOS' own options and says which files they would make.
#
# `evaluate { modules }` is one host. The stubs are made once and shared by all hosts that one Nix process evaluates.
{
  # A folder of nixpkgs' own `lib`, to use instead of the stand-in.
  library ? null,
  # Folders whose *.nix files name packages (`pkgs.NAME`); each name becomes a fake package.
  sources ? [ ],
}:
let
  lib = if library == null then import ./minilib else import library;
  facts =
    builtins.fromJSON (builtins.readFile ./facts.json)
    // builtins.fromJSON (builtins.readFile ./newer-facts.json);
  stubs = import ./stub-options.nix { inherit lib facts; };
  pkgs = import ./fake-pkgs.nix { inherit lib sources; };
  prune = import ./prune.nix { inherit lib facts; };
  render = import ./render.nix { inherit lib pkgs; };

  evaluate =
    {
      modules,
      specialArgs ? { },
    }:
    let
      evaluated = lib.evalModules {
        modules = [
          stubs
          { _module.args.pkgs = pkgs; }
        ]
        ++ modules;
        inherit specialArgs;
      };
      inherit (evaluated) config;
      # nixpkgs' own lib has no `set`: there, everything is looked at.
      set = prune (evaluated.set or config);
      failed = builtins.filter (entry: !entry.assertion) config.assertions;
    in
    {
      inherit config set;
      declared = evaluated.options;
      failedAssertions = map (entry: {
        inherit (entry) message;
        position = builtins.unsafeGetAttrPos "assertion" entry;
      }) failed;
      inherit (config) warnings;
      files = render.files config set;
      options = render.options set;
    };
in
{
  inherit evaluate lib pkgs;
}
