# What the modules say about site files: a list of sentences for each, as `chasqui site check` would say it.
{
  sites,
  ...
}:
let
  chasquiLib = import ../../modules/lib;
in
map (site: chasquiLib.errors (builtins.fromTOML (builtins.readFile site))) sites
