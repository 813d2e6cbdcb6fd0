# nixos/modules/services/networking/stunnel.nix: a section for each server; no client is of ours.
{ lib, ... }:
let
  scalar = value: if builtins.isBool value then (if value then "yes" else "no") else toString value;
in
{
  covers = [
    [
      "services"
      "stunnel"
      "servers"
    ]
  ];
  files =
    config: set:
    lib.optionalAttrs (config.services.stunnel.enable == true) {
      "etc/stunnel.cfg" =
        "debug = info\n"
        + lib.concatStrings (
          lib.mapAttrsToList (
            name: server:
            "\n[${name}]\n"
            + lib.concatStrings (
              lib.mapAttrsToList (key: value: "${key} = ${scalar value}\n") (
                lib.filterAttrs (_: value: value != null) server
              )
            )
          ) (set.services.stunnel.servers or { })
        );
    };
}
