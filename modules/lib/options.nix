# NixOS options from a role's JSON schema, as `chasqui config schema ROLE` prints it: the texts, types and defaults are the binary's own,
# so that the option reference, the reference pages and the binary never say different things.
#
# Every option is null unless somebody sets it, and what is null is not written: the binary's own default holds.
{ lib }:
let
  inherit (lib) types;

  resolve =
    schema: node:
    if node ? "$ref" then
      resolve schema (
        schema."$defs".${lib.last (lib.splitString "/" node."$ref")} // removeAttrs node [ "$ref" ]
      )
    else if node ? anyOf then
      resolve schema (
        removeAttrs node [ "anyOf" ]
        // resolve schema (lib.findFirst (alternative: (alternative.type or "") != "null") { } node.anyOf)
        // lib.optionalAttrs (node ? description) { inherit (node) description; }
      )
    else
      node;
  # What the type itself says, beside what the key says.
  typeText =
    schema: node:
    if node ? "$ref" then
      schema."$defs".${lib.last (lib.splitString "/" node."$ref")}.description or ""
    else if node ? anyOf then
      lib.concatStrings (map (typeText schema) node.anyOf)
    else if node ? items then
      typeText schema node.items
    else
      "";

  isTable = node: node ? properties;

  scalar =
    node:
    let
      kinds = if lib.isList (node.type or "") then node.type else [ (node.type or "") ];
      one =
        kind:
        if kind == "string" then
          types.str
        else if kind == "boolean" then
          types.bool
        else if kind == "number" then
          types.number
        else if kind == "integer" then
          if node ? minimum && node ? maximum then
            types.ints.between node.minimum node.maximum
          else if node ? minimum then
            types.ints.unsigned
          else
            types.int
        else
          throw "modules/lib/options.nix: a schema of the type `${kind}' is not known here";
      known = map one (lib.filter (kind: kind != "null") kinds);
    in
    if node ? oneOf then
      types.enum (map (choice: choice.const) node.oneOf)
    else if node ? enum then
      types.enum node.enum
    else if lib.length known == 1 then
      lib.head known
    else
      types.oneOf known;

  typeOf =
    schema: raw:
    let
      node = resolve schema raw;
    in
    if node.type or null == "array" then
      types.listOf (typeOf schema node.items)
    else if isTable node then
      submodule (optionsOf schema node)
    else if node.type or null == "object" then
      types.attrsOf (typeOf schema node.additionalProperties)
    else
      scalar node;
  # Keys that the schema does not know are left to `chasqui config check`, so that a newer package may be used.
  submodule =
    options:
    types.submodule {
      freeformType = types.attrsOf types.anything;
      inherit options;
    };

  # The schema wraps lines where the source did.
  unwrapped = lib.replaceStrings [ "\n" ] [ " " ];

  choices =
    node:
    lib.concatMapStrings (choice: "\n- `${choice.const}`: ${unwrapped (choice.description or "")}") (
      node.oneOf or [ ]
    );

  describe =
    schema: raw:
    let
      node = resolve schema raw;
      # A description of a choice stands with the choice.
      kind = lib.optionalString (!(node ? oneOf) && !(isTable node)) (unwrapped (typeText schema raw));
    in
    unwrapped (node.description or "")
    + lib.optionalString (kind != "") " A value is ${kind}."
    + lib.optionalString (node ? oneOf) ("\n" + choices node);

  optionsOf = schema: node: lib.mapAttrs (_: option schema) node.properties;

  option =
    schema: raw:
    let
      node = resolve schema raw;
    in
    lib.mkOption (
      {
        description = describe schema raw;
      }
      // (
        if isTable node then
          {
            type = submodule (optionsOf schema node);
            default = { };
          }
        else
          {
            type = types.nullOr (typeOf schema raw);
            default = null;
            defaultText = lib.literalMD (
              if (node.default or null) == null then "none" else "the binary's: `${builtins.toJSON node.default}`"
            );
          }
      )
    );
in
{
  # The options of a schema, and the type of the whole: keys that the schema does not know are left to `chasqui config check`, so that
  # a newer package may be used.
  fromSchema = schema: freeformType: {
    type = types.submodule {
      inherit freeformType;
      options = optionsOf schema schema;
    };
    options = optionsOf schema schema;
  };

  # What is to be written: without nulls, and without the tables that are empty then.
  present =
    let
      go =
        value:
        if lib.isAttrs value && !(lib.isDerivation value) then
          lib.filterAttrs (_: inner: inner != null && inner != { }) (lib.mapAttrs (_: go) value)
        else if lib.isList value then
          map go value
        else
          value;
    in
    go;
}
