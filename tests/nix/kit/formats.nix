# Writers of settings files, as `pkgs.formats` of nixpkgs has them: format, its arguments, the value → text.
{ lib }:
let
  string = builtins.toJSON; # JSON's escapes are TOML's and YAML's

  tomlKey = name: if builtins.match "[A-Za-z0-9_-]+" name != null then name else string name;
  tomlInline =
    value:
    if lib.isDerivation value then
      string "${value}"
    else if builtins.isAttrs value then
      "{ ${
        builtins.concatStringsSep ", " (
          lib.mapAttrsToList (name: inner: "${tomlKey name} = ${tomlInline inner}") (present value)
        )
      } }"
    else if builtins.isList value then
      "[${lib.concatMapStringsSep ", " tomlInline value}]"
    else if builtins.isPath value then
      string (toString value)
    else if value == null then
      throw "TOML has no null"
    else
      builtins.toJSON value;
  # nixpkgs' writer refuses null; a module filters it out itself. Nothing is dropped here either.
  present = value: value;
  isTable = value: builtins.isAttrs value && !lib.isDerivation value;
  isTables = value: builtins.isList value && value != [ ] && builtins.all isTable value;
  toml =
    path: table:
    let
      names = builtins.attrNames table;
      plain = builtins.filter (name: !isTable table.${name} && !isTables table.${name}) names;
      tables = builtins.filter (name: isTable table.${name}) names;
      arrays = builtins.filter (name: isTables table.${name}) names;
      below = name: path ++ [ (tomlKey name) ];
      dotted = builtins.concatStringsSep ".";
    in
    lib.concatMapStrings (name: "${tomlKey name} = ${tomlInline table.${name}}\n") plain
    + lib.concatMapStrings (
      name:
      let
        inner = table.${name};
        bare =
          inner != { }
          && builtins.all (key: isTable inner.${key} || isTables inner.${key}) (builtins.attrNames inner);
      in
      lib.optionalString (!bare) "\n[${dotted (below name)}]\n" + toml (below name) inner
    ) tables
    + lib.concatMapStrings (
      name:
      lib.concatMapStrings (
        inner: "\n[[${dotted (below name)}]]\n" + toml (below name) inner
      ) table.${name}
    ) arrays;

  scalar = value: if builtins.isBool value then lib.boolToString value else toString value;

  # Indented, as `jq .` writes it.
  json =
    indent: value:
    let
      deeper = indent + "  ";
      block =
        open: close: items:
        if items == [ ] then
          open + close
        else
          "${open}\n${lib.concatMapStringsSep ",\n" (item: deeper + item) items}\n${indent}${close}";
    in
    if lib.isDerivation value then
      string "${value}"
    else if builtins.isAttrs value then
      block "{" "}" (lib.mapAttrsToList (name: inner: "${string name}: ${json deeper inner}") value)
    else if builtins.isList value then
      block "[" "]" (map (json deeper) value)
    else
      builtins.toJSON value;

  # Block style; scalars as JSON, which YAML 1.2 contains.
  yaml =
    indent: value:
    let
      deeper = indent + "  ";
      isBlock =
        inner:
        !lib.isDerivation inner
        && (builtins.isAttrs inner || builtins.isList inner)
        && inner != { }
        && inner != [ ];
    in
    if lib.isDerivation value then
      string "${value}"
    else if builtins.isAttrs value && value != { } then
      lib.concatStringsSep "\n" (
        lib.mapAttrsToList (
          name: inner:
          "${indent}${if builtins.match "[A-Za-z_][A-Za-z0-9_-]*" name != null then name else string name}:"
          + (if isBlock inner then "\n${yaml deeper inner}" else " ${builtins.toJSON inner}")
        ) value
      )
    else if builtins.isList value && value != [ ] then
      lib.concatMapStringsSep "\n" (
        inner:
        if isBlock inner then
          "${indent}-${lib.removePrefix "${indent} " (yaml deeper inner)}"
        else
          "${indent}- ${builtins.toJSON inner}"
      ) value
    else
      builtins.toJSON value;

  section =
    settings:
    lib.concatStrings (
      lib.mapAttrsToList (
        name: value: lib.concatMapStrings (item: "${name}=${scalar item}\n") (lib.toList value)
      ) settings
    );
in
{
  json = _: value: json "" value + "\n";
  toml = _: value: lib.removePrefix "\n" (toml [ ] value);
  yaml = _: value: yaml "" value + "\n";
  ini =
    _: value:
    lib.concatStringsSep "\n" (
      lib.mapAttrsToList (name: settings: "[${name}]\n${section settings}") value
    );
  keyValue = _: section;
}
