# The lab's site file as the tests' machines have it: the same, but with WireGuard keys whose private halves the tests know, without filters
# whose signatures come from the internet, and, if `small`, with arrays and LUNs that a test can afford. Gives the path of the changed
# file.
{
  small ? false,
}:
let
  inherit (builtins)
    attrNames
    fromTOML
    map
    readFile
    replaceStrings
    toFile
    ;
  text = readFile ../../../hosts/lab/site.toml;
  lab = fromTOML text;
  keys = import ./keys.nix;
  owners = lab.hosts // lab.administrators;
  names = attrNames keys;
  smaller = {
    "clamav = true" = "clamav = false";
    "spamassassin = true" = "spamassassin = false";
  }
  // (
    if !small then
      { }
    else
      {
        # Drives, the SSDs of the cache, and what is cut from the arrays.
        "drive_size = \"1TB\"" = "drive_size = \"2GB\"";
        "size = \"200GB\"" = "size = \"1GB\"";
        "size = \"400GB\"" = "size = \"200MB\"";
        "size = \"1TB\"" = "size = \"2GB\"";
        "size = \"2TB\"" = "size = \"1GB\"";
      }
  );
in
toFile "site.toml" (
  replaceStrings (map (name: owners.${name}.wireguard_key) names ++ attrNames smaller) (
    map (name: keys.${name}.public) names ++ map (size: smaller.${size}) (attrNames smaller)
  ) text
)
