# Turns option facts (name -> [type default?]) into stub NixOS option declarations,
# so a module that sets a misspelt option or a value of the wrong type fails to evaluate.
# Types we cannot parse are `anything`.
{ lib, facts }:
let
  inherit (lib) types;
  b = builtins;
  names = b.attrNames facts;
  unset = "<unset>";
  # ---- tree: path -> { self = fact | null; kids }
  splitName = n: b.filter b.isString (b.split "\\." n);
  # group by first component at each level (fast for thousands of names)
  mk =
    entries: # [{ path, fact }]
    let
      selfs = b.filter (e: e.path == [ ]) entries;
      rest = b.filter (e: e.path != [ ]) entries;
      groups = b.groupBy (e: b.head e.path) rest;
    in
    {
      self = if selfs == [ ] then null else (b.head selfs).fact;
      kids = b.mapAttrs (_: es: mk (map (e: e // { path = b.tail e.path; }) es)) groups;
    };
  tree = mk (
    map (n: {
      path = splitName n;
      fact = facts.${n};
    }) names
  );

  # ---- type strings
  strip =
    s:
    let
      m = b.match " *(.*[^ ]) *" s;
    in
    if m == null then s else b.head m;
  # a key of a unit (nixpkgs, nixos/lib/utils.nix): what several say of it is a list
  unitOption = types.anything // {
    name = "unitOption";
    merge =
      loc: defs:
      let
        values = map (definition: definition.value) defs;
      in
      if b.any b.isList values then
        b.concatLists (map (value: if b.isList value then value else [ value ]) values)
      else
        types.anything.merge loc defs;
  };
  # the type up to the end, given sub-options for a `submodule` in it
  parse =
    sub: s0:
    let
      s = strip s0;
      m = re: b.match re s;
      rest = re: parse sub (b.head (m re));
      alts = splitOr s;
    in
    if s == "boolean" then
      types.bool
    else if s == "systemd option" then
      unitOption
    else if s == "string" then
      types.str
    else if s == "non-empty string" then
      types.nonEmptyStr
    else if s == "(optionally newline-terminated) single-line string" then
      types.singleLineStr
    else if s == "signed integer" then
      types.int
    else if m "unsigned integer, meaning >=0" != null then
      types.ints.unsigned
    else if m "positive integer, meaning >0" != null then
      types.ints.positive
    else if m "(16|8|32) bit unsigned integer; between.*" != null && (splitOr s == [ s ]) then
      types.ints."u${b.head (m "(16|8|32) .*")}"
    else if m "integer between -?[0-9]+ and -?[0-9]+ \\(both inclusive\\)" != null then
      let
        r = m "integer between (-?[0-9]+) and (-?[0-9]+) .*";
      in
      types.ints.between (b.fromJSON (b.elemAt r 0)) (b.fromJSON (b.elemAt r 1))
    else if s == "path" || s == "absolute path" then
      types.path
    else if s == "package" then
      types.package
    else if s == "attribute set" then
      types.attrs
    else if m "null or .*" != null then
      types.nullOr (rest "null or (.*)")
    else if m "one of \"[^\"]*\"(, \"[^\"]*\")*" != null then
      types.enum (map b.head (b.filter b.isList (b.split "\"([^\"]*)\"" s)))
    else if b.length alts > 1 then
      types.oneOf (map (parse sub) alts)
    else if m "list of .*" != null then
      types.listOf (rest "list of (.*)")
    else if m "non-empty \\(list of .*\\)" != null then
      types.listOf (rest "non-empty \\(list of (.*)\\)")
    else if m "attribute set of .*" != null then
      types.attrsOf (rest "attribute set of (.*)")
    else if m "lazy attribute set of .*" != null then
      types.attrsOf (rest "lazy attribute set of (.*)")
    else if m "strings concatenated with \"[^\"]*\"" != null then
      types.separatedString (b.fromJSON "\"${b.head (m "strings concatenated with \"([^\"]*)\"")}\"")
    else if m "\\(.*\\)" != null then
      rest "\\((.*)\\)"
    else if s == "submodule" then
      types.submodule { options = sub; }
    else if m "open submodule.*" != null then
      types.submodule {
        options = sub;
        freeformType = types.attrsOf types.anything;
      }
    else
      types.anything;
  # split at " or " outside parentheses and quotes
  splitOr =
    s:
    let
      parts = b.filter b.isString (b.split " or " s);
      depth = p: b.length (b.split "\\(" p) - b.length (b.split "\\)" p);
      go =
        acc: cur: ps:
        if ps == [ ] then
          (if cur == "" then acc else acc ++ [ cur ])
        else
          let
            c = if cur == "" then b.head ps else cur + " or " + b.head ps;
          in
          if depth c == 0 then go (acc ++ [ c ]) "" (b.tail ps) else go acc c (b.tail ps);
    in
    go [ ] "" parts;

  # What stands for an entry's name: `<name>`, `<path>`, `*`.
  placeholders = t: b.filter (name: b.match "<.*>|\\*" name != null) (b.attrNames t.kids);

  # What an entry has, under however many names (`attribute set of attribute set of (submodule)`).
  entry = t: if placeholders t == [ ] then t else entry t.kids.${b.head (placeholders t)};

  option =
    path: t:
    let
      fact = t.self;
      sub = toOptions (path ++ b.genList (_: "<name>") (if placeholders t == [ ] then 0 else 1)) (
        entry t
      );
      plain = parse sub (b.head fact);
      type =
        if t.kids != { } && plain.name or "" == "anything" then
          types.submodule {
            options = sub;
            freeformType = types.attrsOf types.anything;
          }
        else
          plain;
      dflt = if b.length fact > 1 then b.elemAt fact 1 else null;
      # no known default: the empty value where the type has one, else a marker until someone sets it
      empty = {
        listOf = [ ];
        attrsOf = { };
        submodule = { };
        nullOr = null;
        attrs = { };
      };
      marked = type // {
        check = x: x == unset || type.check x;
        merge = loc: defs: if (b.head defs).value == unset then unset else type.merge loc defs;
      };
    in
    lib.mkOption (
      if b.length fact > 1 && dflt != "?" && type.check dflt then
        {
          inherit type;
          default = dflt;
        }
      else if empty ? ${type.name} then
        {
          inherit type;
          default = empty.${type.name};
        }
      else
        {
          type = marked;
          default = unset;
        }
    );
  toOptions =
    path: t:
    b.mapAttrs (
      n: k: if k.self != null then option (path ++ [ n ]) k else toOptions (path ++ [ n ]) k
    ) (removeAttrs t.kids (placeholders t));
in
{
  options = lib.recursiveUpdate (toOptions [ ] tree) {
    # not in the manual, but every module may use them
    assertions = lib.mkOption {
      type = types.listOf types.raw;
      default = [ ];
    };
    warnings = lib.mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    system.build = lib.mkOption {
      type = types.attrsOf types.anything;
      default = { };
    };
  };
}
