# Hosts of a site as files: `{ HOST = { files, options, failedAssertions, warnings }; }`. Read by `tests/nix/eval`.
{
  # The site file.
  site,
  # Which of its hosts; all of them when null.
  hosts ? null,
  # Further modules for each of them.
  modules ? [ ],
  # A folder of nixpkgs' `lib`, to evaluate with it instead of the stand-in.
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
  chasquiLib = import (root + "/modules/lib");
  # Once for all hosts.
  data = chasquiLib.load site;
  shared = chasquiLib // {
    load = path: if toString path == toString site then data else chasquiLib.load path;
  };
  extra = host: dirOf site + "/${host}.nix";
  evaluate =
    host:
    let
      evaluated = kit.evaluate {
        modules = [
          (root + "/modules")
          {
            chasqui.site.file = site;
            chasqui.host = host;
          }
        ]
        ++ (if builtins.pathExists (extra host) then [ (extra host) ] else [ ])
        ++ modules;
        specialArgs.chasquiLib = shared;
      };
    in
    {
      inherit (evaluated)
        failedAssertions
        warnings
        files
        options
        ;
    };
  names = if hosts == null then builtins.attrNames data.hosts else hosts;
in
builtins.listToAttrs (
  map (name: {
    inherit name;
    value = evaluate name;
  }) names
)
