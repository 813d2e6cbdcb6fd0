# Files that NixOS' service modules write from their options, for the services whose options our modules set instead of a text. Each file of
# `services/` renders one service, after nixpkgs' module: `{ lib, pkgs, formats }: { covers = [ option paths ]; files = config: set: { path = text; }; }`.
{ lib, pkgs }:
let
  formats = import ./formats.nix { inherit lib; };
  renderers = map (file: import (./services + "/${file}") { inherit lib pkgs formats; }) (
    builtins.attrNames (builtins.readDir ./services)
  );
in
{
  files = config: set: lib.foldl' (all: renderer: all // renderer.files config set) { } renderers;
  rendered = lib.concatMap (renderer: renderer.covers) renderers;
}
