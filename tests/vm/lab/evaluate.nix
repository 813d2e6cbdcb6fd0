# A NixOS test as data, by stub evaluation: its script, and what each of its machines would be. Read by `tests/vm/check`.
{
  # The test's file.
  test,
  # A folder of nixpkgs' `lib`, to evaluate with it instead of the stand-in.
  library ? null,
}:
let
  root = ../../..;
  kit = import (root + "/tests/nix/kit") {
    inherit library;
    sources = [
      (root + "/modules")
      (root + "/hosts")
      (root + "/tests/vm")
    ];
  };
  said = import test;
  machine =
    name:
    let
      evaluated = kit.evaluate {
        modules = [
          (root + "/modules")
          said.nodes.${name}
        ];
      };
      inherit (evaluated) config;
    in
    {
      inherit (evaluated) failedAssertions warnings;
      # Looked at, so that everything in it is evaluated.
      files = builtins.attrNames evaluated.files;
      options = builtins.stringLength (builtins.toJSON evaluated.options);
      host = config.chasqui.host;
      wires = builtins.mapAttrs (_: interface: interface.vlan) config.virtualisation.interfaces;
      interfaces = builtins.attrNames config.chasqui.network.interfaces;
    };
in
{
  inherit (said) name testScript;
  nodes = builtins.mapAttrs (name: _: machine name) said.nodes;
}
