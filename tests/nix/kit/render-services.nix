# Files that NixOS' service modules write from their options, for the services whose options our modules set instead of a text.
{ lib, pkgs }:
{
  files = config: set: { };
  rendered = [ ];
}
