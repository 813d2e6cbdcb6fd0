# Negative cases: what one file of `negative/` breaks, and what Nix says to it. Read by `test_negative.py`.
{
  file,
  # The number of one case, or null for all.
  only ? null,
  # Only the cases themselves.
  listed ? false,
  library ? null,
}:
let
  root = ../..;
  kit = import ./kit {
    inherit library;
    sources = [
      (root + "/modules")
      (root + "/hosts")
    ];
  };
  inherit (kit) lib;
  chasquiLib = import (root + "/modules/lib");
  formats = import ./kit/formats.nix { inherit lib; };

  site = name: builtins.fromTOML (builtins.readFile (root + "/hosts/${name}/site.toml"));
  lab = site "lab";
  # A site with something else in it; null takes an entry away.
  change =
    old: new:
    lib.filterAttrs (_: value: value != null) (
      old
      // builtins.mapAttrs (
        name: value: if builtins.isAttrs value then change (old.${name} or { }) value else value
      ) new
    );

  said = import file;
  cases =
    if builtins.isFunction said then
      said (
        builtins.intersectAttrs (builtins.functionArgs said) {
          inherit
            lab
            lib
            chasquiLib
            change
            ;
          inherit (kit) pkgs;
          solo = site "solo";
        }
      )
    else
      said;

  asFile = data: builtins.toFile "site.toml" (formats.toml { } data);
  run =
    case:
    let
      data = case.site or lab;
      evaluated = kit.evaluate {
        modules = [
          (root + "/modules")
        ]
        ++ lib.optional (data != null) {
          chasqui.site.file = asFile data;
          chasqui.host = case.host;
        }
        ++ case.modules or [ ];
        specialArgs = { inherit chasquiLib; };
      };
      failed = evaluated.failedAssertions;
      # With no failed assertion something else must refuse: a type, a schema, a `throw`. Its words can only be read where it ends Nix.
      forced = builtins.deepSeq (if failed == [ ] then evaluated.files else failed) failed;
      outcome =
        if only == null then
          builtins.tryEval forced
        else
          {
            success = true;
            value = forced;
          };
    in
    {
      inherit (case) name fails;
      refused = !outcome.success;
      messages = if outcome.success then map (entry: entry.message) outcome.value else [ ];
      positions = if outcome.success then map (entry: entry.position) outcome.value else [ ];
    };
in
if listed then
  cases
else if only == null then
  map run cases
else
  run (builtins.elemAt cases only)
