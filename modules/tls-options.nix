# The options that name a host's certificate, equal in every module that needs one, and the assertion that goes with them.
{
  config,
  lib,
  chasquiLib,
}:
let
  site = config.chasqui.site.data;
  host = config.chasqui.host;
  meanings = {
    ca = "authority's certificate";
    certificate = "host's certificate";
    key = "host's private key";
  };
in
{
  options = lib.mapAttrs (
    name: meaning:
    lib.mkOption {
      type = lib.types.str;
      default =
        if site != null && host != null then
          chasquiLib.secret site host name
        else
          "/etc/chasqui/pki/${
            if name == "ca" then
              "ca.crt"
            else if name == "key" then
              "host.key"
            else
              "host.crt"
          }";
      defaultText = lib.literalMD "`secrets.${name}` of the site file";
      description = "Path of the ${meaning}, PEM, outside the Nix store (E19).";
    }
  ) meanings;

  # `option` is the full path of the option that holds the paths.
  outsideStore = option: paths: {
    assertion = lib.all chasquiLib.notInStore paths;
    message = "${option}: a path lies in the Nix store, where every user can read it; name a file that is brought to the host by other means.";
  };

  # For `LoadCredential`: the files as they are called under /run/credentials/UNIT.
  loadCredentials = tls: [
    "ca.crt:${tls.ca}"
    "host.crt:${tls.certificate}"
    "host.key:${tls.key}"
  ];
}
