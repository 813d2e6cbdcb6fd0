# Each module by itself, with nothing enabled: which options it sets then. There should be none.
{
  # One of them, by its path; all when null.
  only ? null,
  library ? null,
}:
let
  root = ../..;
  kit = import ./kit {
    inherit library;
    sources = [ (root + "/modules") ];
  };
  inherit (kit) lib;
  modules =
    builtins.filter (module: only == null || only == toString module)
      (import (root + "/modules")).imports;
  # What every host of Chasqui has, site or not.
  common = [
    (root + "/modules/site.nix")
    (root + "/modules/registry.nix")
  ];
  # nixpkgs' lib does not tell a default of ours from what somebody set.
  ofNixOS =
    set:
    if library == null then
      set
    else
      removeAttrs set [ "chasqui" ] // { services = removeAttrs (set.services or { }) [ "chasqui" ]; };
  setBy =
    more:
    lib.filterAttrs (name: _: name != "assertions" && name != "warnings") (
      ofNixOS
        (kit.evaluate {
          modules = common ++ more;
          specialArgs.chasquiLib = import (root + "/modules/lib");
        }).set
    );
  nothing = setBy [ ];
in
builtins.listToAttrs (
  map (module: {
    name = lib.removePrefix (toString root + "/") (toString module);
    value = builtins.attrNames (
      lib.filterAttrs (name: value: value != nothing.${name} or null) (setBy [ module ])
    );
  }) modules
)
