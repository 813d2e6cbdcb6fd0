# The package of all roles.
{ lib, pkgs, ... }:
{
  options.services.chasqui.package = lib.mkPackageOption pkgs "chasqui" { };
}
