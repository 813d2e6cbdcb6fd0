# A host without a site file that runs an exchanger, as its operator would write it: the files it would have.
{
  library ? null,
}:
let
  root = ../..;
  kit = import ./kit {
    inherit library;
    sources = [ (root + "/modules") ];
  };
  evaluated = kit.evaluate {
    modules = [
      (root + "/modules")
      {
        services.chasqui.mx = {
          enable = true;
          settings = {
            hostname = "mx.example.net";
            listen = [ "[2001:db8::25]:25" ];
            limits.message_size = "20MB";
            directory.servers = [ "directory.example.net:1701" ];
            tls = {
              ca = "/srv/keys/ca.crt";
              certificate = "/srv/keys/mx.crt";
              key = "/srv/keys/mx.key";
            };
            public_tls = {
              certificate = "/srv/keys/public.crt";
              key = "/srv/keys/public.key";
            };
            # A key of a newer binary: `chasqui config check` judges it, not the module.
            future.key = 1;
          };
        };
      }
    ];
  };
in
{
  inherit (evaluated)
    failedAssertions
    files
    options
    warnings
    ;
}
