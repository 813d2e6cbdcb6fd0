# JSON that a person can read and compare: one key a line, keys in order, short lists of scalars on one line.
{ base }:
let
  inherit (builtins)
    all
    concatStringsSep
    isAttrs
    isList
    map
    stringLength
    toJSON
    ;
  pretty =
    indent: value:
    let
      inner = indent + "  ";
      block =
        open: close: items:
        "${open}\n${concatStringsSep ",\n" (map (item: inner + item) items)}\n${indent}${close}";
      scalar = item: !(isAttrs item || isList item);
      short = "[${concatStringsSep ", " (map toJSON value)}]";
    in
    if isList value then
      if all scalar value && stringLength short <= 100 then
        short
      else
        block "[" "]" (map (pretty inner) value)
    else if isAttrs value && value != { } then
      block "{" "}" (base.mapAttrsToList (name: item: "${toJSON name}: ${pretty inner item}") value)
    else
      toJSON value;
in
value: pretty "" value + "\n"
