# Files of sections and `Key=value` lines, as systemd reads them.
{ lib }:
let
  scalar = value: if builtins.isBool value then lib.boolToString value else toString value;
  # Lines of a section; a list is a line each.
  lines =
    attributes:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: value:
        lib.concatMapStrings (item: "${name}=${scalar item}\n") (
          if builtins.isList value then value else [ value ]
        )
      ) (lib.filterAttrs (_: value: value != null) attributes)
    );
  section = name: attributes: lib.optionalString (attributes != { }) "[${name}]\n${lines attributes}";
  blocks = texts: lib.concatStringsSep "\n" (builtins.filter (text: text != "") texts);
in
{
  inherit
    scalar
    lines
    section
    blocks
    ;
}
