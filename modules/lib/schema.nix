# Checks a site against the JSON schema that the planner writes (`chasqui site schema`), so that Rust and Nix refuse the same
# things in the same places: unknown and missing keys, wrong types, and names that stand nowhere (`x-ref`, `x-ref-keys`).
#
# The result of `errors` is a list of sentences, each with the key's path; `filled` is the data with every default.
{ base, schema }:
let
  inherit (builtins)
    attrNames
    concatMap
    concatStringsSep
    elem
    hasAttr
    head
    isAttrs
    isBool
    isFloat
    isInt
    isList
    isString
    mapAttrs
    match
    toJSON
    ;

  # A key as TOML writes it.
  key = name: if match "[A-Za-z0-9_-]+" name != null then name else toJSON name;
  below = path: name: if path == "" then key name else "${path}.${key name}";

  resolve =
    s:
    if s == true then
      { }
    else if s ? "$ref" then
      let
        called = base.last (base.splitOn "/" s."$ref");
      in
      { format = called; } // resolve schema."$defs".${called} // removeAttrs s [ "$ref" ]
    else if s ? anyOf then
      let
        real = builtins.filter (alternative: alternative.type or "" != "null") s.anyOf;
      in
      resolve (head real) // removeAttrs s [ "anyOf" ]
    else if s ? allOf then
      resolve (head s.allOf) // removeAttrs s [ "allOf" ]
    else
      s;

  # What the planner's own types accept, which a JSON schema does not say: by `format`, or by the name of the definition.
  octet = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
  ipv4 = "${octet}\\.${octet}\\.${octet}\\.${octet}";
  ipv6 = "[0-9A-Fa-f]{0,4}(:[0-9A-Fa-f]{0,4}){2,7}";
  looks = {
    ip = {
      pattern = "${ipv4}|${ipv6}";
      means = "an address such as 192.0.2.10 or 2001:db8::10";
    };
    IpNetwork = {
      pattern = "${ipv4}(/[0-9]{1,2})?|${ipv6}(/[0-9]{1,3})?";
      means = "a prefix such as 192.0.2.0/24 or 2001:db8::/64";
    };
    ByteSize = {
      pattern = " *[0-9]+ *(([kKmMgGtT][iI]?)?[bB])? *";
      means = "a size such as 20GB or 64KiB";
    };
    Span = {
      pattern = " *[0-9]+ *(ms|MS|[smhdSMHD])? *";
      means = "a duration such as 30s, 5m or 2h";
    };
    DomainName = {
      pattern = "[^ /@]+";
      means = "a domain name";
    };
  };

  kinds = {
    string = isString;
    integer = isInt;
    number = value: isInt value || isFloat value;
    boolean = isBool;
    array = isList;
    object = isAttrs;
    null = value: value == null;
  };
  types =
    s:
    if !(s ? type) then
      [ ]
    else if isList s.type then
      s.type
    else
      [ s.type ];
  choices =
    s: s.enum or (map (alternative: alternative.const or (head alternative.enum)) (s.oneOf or [ ]));
  listed = concatStringsSep ", ";
  kindOf =
    value:
    {
      int = "integer";
      float = "number";
      bool = "boolean";
      list = "array";
      set = "table";
    }
    .${builtins.typeOf value} or "string";
  article =
    kind:
    if
      elem kind [
        "integer"
        "array"
        "object"
      ]
    then
      "an ${kind}"
    else
      "a ${kind}";
  pattern =
    text:
    base.removeSuffix "$" (if base.hasPrefix "^" text then builtins.substring 1 (-1) text else text);

  reference =
    data: path: table: name:
    base.optional (isString name && !(hasAttr name (data.${table} or { })))
      "${path}: nothing in `${table}' is called `${name}'; ${
        if data.${table} or { } == { } then
          "the site has no `${table}'"
        else
          "there are: ${listed (attrNames data.${table})}"
      }";

  check =
    data: path: s0: value:
    let
      s = resolve s0;
      wanted = builtins.filter (kind: kind != "null") (types s);
    in
    if wanted != [ ] && !(base.findFirst (kind: kinds.${kind} value) null (types s) != null) then
      [
        "${path}: it is ${article (kindOf value)}, but must be ${concatStringsSep " or " (map article wanted)}"
      ]
    else if choices s != [ ] && !(elem value (choices s)) then
      [ "${path}: `${toString value}' is none of ${listed (map toString (choices s))}" ]
    else if s ? pattern && isString value && match (pattern s.pattern) value == null then
      [ "${path}: `${value}' does not look as it must (${s.pattern})" ]
    else if
      isString value && looks ? ${s.format or ""} && match looks.${s.format}.pattern value == null
    then
      [ "${path}: `${value}' is not ${looks.${s.format}.means}" ]
    else if isList value then
      builtins.concatLists (
        base.imap0 (
          i: item:
          check data "${path}[${toString i}]" (s.items or { }) item
          ++ base.optionals (s ? x-ref) (reference data "${path}[${toString i}]" s.x-ref item)
        ) value
      )
    else if isAttrs value then
      let
        properties = s.properties or { };
        others = s.additionalProperties or true;
      in
      concatMap (
        name:
        if properties ? ${name} then
          check data (below path name) properties.${name} value.${name}
        else if others == false then
          [ "${below path name}: there is no such key; known here: ${listed (attrNames properties)}" ]
        else
          base.optionals (s ? x-ref-keys) (reference data (below path name) s.x-ref-keys name)
          ++ base.optionals (isAttrs others) (check data (below path name) others value.${name})
      ) (attrNames value)
      ++ concatMap (
        name: base.optional (!(value ? ${name})) "${below path name}: it is missing; add it"
      ) (s.required or [ ])
    else
      base.optionals (s ? x-ref) (reference data path s.x-ref value);

  fill =
    s0: value:
    let
      s = resolve s0;
    in
    if isAttrs value then
      let
        others = s.additionalProperties or true;
      in
      mapAttrs (name: v: fill (s.properties.${name} or (if isAttrs others then others else { })) v) value
      // mapAttrs (_: property: if property ? default then fill property property.default else null) (
        removeAttrs (s.properties or { }) (attrNames value)
      )
    else if isList value && isAttrs (s.items or null) then
      map (fill s.items) value
    else
      value;
in
{
  errors = data: check data "" schema data;
  filled = data: fill schema data;
}
