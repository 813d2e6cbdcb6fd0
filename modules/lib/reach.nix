# How hosts of a site reach each other.
{ lib }:
let
  inherit (builtins)
    concatMap
    elem
    filter
    head
    ;
in
{
  # The address at which one host reaches another: in a network that both are in, a wire before a mesh and the service network before
  # others; else where the other is reached by its name.
  addressToward =
    site: from: to:
    let
      both = filter (network: elem network (lib.networksOf site to)) (lib.networksOf site from);
      isMesh = network: site.networks.${network}.over != [ ];
      ordered =
        concatMap
          (
            mesh:
            concatMap
              (kind: filter (network: site.networks.${network}.kind == kind && isMesh network == mesh) both)
              [
                "service"
                "management"
                "public"
                "uplink"
              ]
          )
          [
            false
            true
          ];
      shared =
        family:
        concatMap (
          network:
          lib.optionals (lib.address site from network family != null) (
            lib.ofFamily family (lib.addressesOn site to network)
          )
        ) ordered;
      found = shared 4 ++ shared 6;
    in
    if found == [ ] then lib.serviceAddress site to else head found;
}
