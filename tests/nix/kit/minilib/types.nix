# Types of options, and `mkOption` and its kin.
{ lib }:
let
  inherit (builtins)
    isAttrs
    isList
    isString
    isInt
    isBool
    isFloat
    isFunction
    isPath
    attrNames
    elem
    head
    length
    concatLists
    concatMap
    concatStringsSep
    map
    foldl'
    mapAttrs
    toJSON
    substring
    match
    toString
    any
    all
    typeOf
    ;
  inherit (lib)
    id
    optional
    optionalAttrs
    filterAttrs
    genAttrs
    setAttrByPath
    getAttrFromPath
    foldr
    unique
    imap1
    last
    init
    count
    concatMapStringsSep
    removeSuffix
    isDerivation
    isStorePath
    isStringLike
    showOption
    typ
    pushDown
    show
    showDefs
    mergeDefs
    evalModules
    ;
  mkType =
    a:
    {
      _type = "option-type";
      emptyValue = null;
      hasEmpty = false;
      check = _: true;
      merge = mergeOne;
      sub = null;
    }
    // a
    // {
      description = a.description or a.name;
    };
  mergeOne =
    loc: defs:
    if length defs == 1 then
      (head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique. Definition values:${showDefs defs}";
  mergeEq =
    loc: defs:
    let
      f = (head defs).value;
    in
    if all (d: d.value == f) defs then
      f
    else
      throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}";
  eqType =
    name: description: check:
    mkType {
      inherit name description check;
      merge = mergeEq;
    };
  between =
    lo: hi:
    eqType "intBetween" "integer between ${toString lo} and ${toString hi} (both inclusive)" (
      x: isInt x && x >= lo && x <= hi
    );
  unsignedBits =
    n: hi:
    eqType "unsignedInt${toString n}"
      "${toString n} bit unsigned integer; between 0 and ${toString hi} (both inclusive)"
      (x: isInt x && x >= 0 && x <= hi);
  paren = t: if match ".* .*" t.description != null then "(${t.description})" else t.description;
  types = rec {
    inherit mkType;
    raw = mkType {
      name = "raw";
      description = "raw value";
    };
    unspecified = mkType {
      name = "unspecified";
      description = "unspecified value";
      merge = anything.merge;
    };
    anything = mkType {
      name = "anything";
      merge =
        loc: defs:
        let
          vs = map (d: d.value) defs;
          t = typeOf (head vs);
        in
        if length vs == 1 && !(isAttrs (head vs)) then
          head vs
        else if all isAttrs vs && !(any isStringLike vs) then
          mergeAttrs' loc anything defs
        else if all isList vs then
          (if length vs == 1 then head vs else concatLists vs)
        else if all (v: typeOf v == t) vs && !(isFunction (head vs)) then
          mergeEq loc defs
        else
          mergeOne loc defs;
    };
    bool = eqType "bool" "boolean" isBool;
    boolByOr = mkType {
      name = "boolByOr";
      description = "boolean (merged using or)";
      check = isBool;
      merge = _: any (d: d.value);
    };
    int = eqType "int" "signed integer" isInt;
    float = eqType "float" "floating point number" isFloat;
    number = either int float;
    ints = {
      inherit between;
      unsigned = eqType "unsignedInt" "unsigned integer, meaning >=0" (x: isInt x && x >= 0);
      positive = eqType "positiveInt" "positive integer, meaning >0" (x: isInt x && x > 0);
      u8 = unsignedBits 8 255;
      u16 = unsignedBits 16 65535;
      u32 = unsignedBits 32 4294967295;
    };
    port = ints.u16;
    str = eqType "str" "string" isString;
    nonEmptyStr = eqType "nonEmptyStr" "non-empty string" (x: isString x && match "[ \t\n]*" x == null);
    singleLineStr = mkType {
      name = "singleLineStr";
      description = "(optionally newline-terminated) single-line string";
      check = x: isString x && match "[^\n\r]*\n?" x != null;
      merge = loc: defs: removeSuffix "\n" (mergeEq loc defs);
    };
    strMatching =
      p:
      eqType "strMatching ${toJSON p}" "string matching the pattern ${p}" (
        x: isString x && match p x != null
      );
    separatedString =
      sep:
      mkType {
        name = "separatedString";
        description = "strings concatenated with ${toJSON sep}";
        check = isString;
        merge = _: defs: concatStringsSep sep (map (d: d.value) defs);
      };
    lines = separatedString "\n";
    commas = separatedString ",";
    envVar = separatedString ":";
    path = eqType "path" "absolute path" (x: isStringLike x && substring 0 1 (toString x) == "/");
    pathInStore = eqType "pathInStore" "path in the Nix store" isStorePath;
    package = mkType {
      name = "package";
      check = x: isDerivation x || isStorePath x;
    };
    shellPackage = package;
    attrs = mkType {
      name = "attrs";
      description = "attribute set";
      check = isAttrs;
      merge = _: defs: foldl' (a: d: a // d.value) { } defs;
    };
    enum = vs: eqType "enum" "one of ${concatMapStringsSep ", " show vs}" (x: elem x vs);
    nullOr =
      t:
      mkType {
        name = "nullOr";
        description = "null or ${paren t}";
        check = x: x == null || t.check x;
        inherit (t) sub;
        merge =
          loc: defs:
          let
            n = count (d: d.value == null) defs;
          in
          if n == length defs then
            null
          else if n > 0 then
            throw "The option `${showOption loc}' is defined both null and not null."
          else
            t.merge loc defs;
      };
    listOf =
      t:
      mkType {
        name = "listOf";
        description = "list of ${paren t}";
        check = isList;
        hasEmpty = true;
        emptyValue = [ ];
        sub = t.sub;
        merge =
          loc: defs:
          concatLists (
            imap1 (
              i: d:
              concatLists (
                imap1 (
                  j: v:
                  let
                    m = mergeDefs (loc ++ [ "[definition ${toString i}-entry ${toString j}]" ]) t [
                      {
                        inherit (d) file;
                        value = v;
                      }
                    ];
                  in
                  optional m.isDefined m.value
                ) d.value
              )
            ) defs
          );
      };
    nonEmptyListOf =
      t: addCheck (listOf t) (l: l != [ ]) // { description = "non-empty list of ${t.description}"; };
    attrsOf =
      t:
      mkType {
        name = "attrsOf";
        description = "attribute set of ${paren t}";
        check = isAttrs;
        hasEmpty = true;
        emptyValue = { };
        sub = t.sub;
        merge = loc: mergeAttrs' loc t;
      };
    lazyAttrsOf = attrsOf;
    uniq = t: t // { merge = mergeOne; };
    unique = _: uniq;
    either =
      a: c:
      mkType {
        name = "either";
        description = "${paren a} or ${paren c}";
        check = x: a.check x || c.check x;
        sub = if a.sub != null then a.sub else c.sub;
        merge =
          loc: defs:
          if all (d: a.check d.value) defs then
            a.merge loc defs
          else if all (d: c.check d.value) defs then
            c.merge loc defs
          else
            mergeEq loc defs;
      };
    oneOf = ts: foldr either (last ts) (init ts);
    coercedTo =
      from: f: to:
      mkType {
        name = "coercedTo";
        description = "${paren to} or ${paren from} convertible to it";
        check = x: (from.check x && to.check (f x)) || to.check x;
        inherit (to) sub;
        merge =
          loc: defs:
          to.merge loc (map (d: d // { value = if from.check d.value then f d.value else d.value; }) defs);
      };
    addCheck = t: c: t // { check = x: t.check x && c x; };
    functionTo =
      t:
      mkType {
        name = "functionTo";
        description = "function that evaluates to a(n) ${paren t}";
        check = isFunction;
        merge =
          loc: defs: arg:
          (mergeDefs (loc ++ [ "<function body>" ]) t (map (d: d // { value = d.value arg; }) defs)).value;
      };
    deferredModule = mkType {
      name = "deferredModule";
      description = "module";
      check = x: isAttrs x || isFunction x || isPath x;
      merge = _: defs: { imports = map (d: d.value) defs; };
    };
    submodule =
      m:
      submoduleWith {
        modules = if isList m then m else [ m ];
        shorthandOnlyDefinesConfig = true;
      };
    submoduleWith =
      {
        modules,
        specialArgs ? { },
        shorthandOnlyDefinesConfig ? false,
        description ? "submodule",
      }:
      mkType {
        name = "submodule";
        inherit description;
        hasEmpty = true;
        emptyValue = { };
        check = x: isAttrs x || isFunction x || isPath x;
        sub = modules;
        merge =
          loc: defs:
          (evalModules {
            prefix = loc;
            inherit specialArgs;
            modules = [
              { _module.args.name = last loc; }
            ]
            ++ modules
            ++ map (
              d:
              if isAttrs d.value && shorthandOnlyDefinesConfig then
                {
                  _file = d.file;
                  config = d.value;
                }
              else
                d.value
            ) defs;
          }).config;
      };
  };
  mergeAttrs' =
    loc: t: defs:
    let
      pushed = concatMap (
        d:
        map (v: {
          inherit (d) file;
          value = v;
        }) (pushDown d.value)
      ) defs;
      names = unique (concatMap (d: attrNames d.value) pushed);
      ms = genAttrs names (
        n:
        mergeDefs (loc ++ [ n ]) t (
          concatMap (
            d:
            if d.value ? ${n} then
              [
                {
                  inherit (d) file;
                  value = d.value.${n};
                }
              ]
            else
              [ ]
          ) pushed
        )
      );
    in
    mapAttrs (_: m: m.value) (filterAttrs (_: m: m.isDefined) ms);

  # A default that merging would give back as it is.
  isPlain = v: v == null || isBool v || isInt v || isString v || isFloat v || v == [ ];
  plainTypes = genAttrs [
    "bool"
    "str"
    "nonEmptyStr"
    "int"
    "intBetween"
    "unsignedInt"
    "positiveInt"
    "unsignedInt8"
    "unsignedInt16"
    "unsignedInt32"
    "float"
    "nullOr"
    "listOf"
    "enum"
    "anything"
    "path"
    "separatedString"
    "strMatching"
    "raw"
    "unspecified"
  ] (_: true);

  mkOption = a: { _type = "option"; } // a;
  mkEnableOption =
    n:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${toString (n.text or n)}.";
      type = types.bool;
    };
  mkPackageOption =
    pkgs: name:
    {
      default ? name,
      nullable ? false,
      ...
    }:
    mkOption (
      {
        type = (if nullable then types.nullOr else id) types.package;
        description = "The ${if isList name then last name else name} package to use.";
      }
      // optionalAttrs (default != null) {
        default = getAttrFromPath (if isList default then default else [ default ]) pkgs;
      }
    );
  isOption = v: typ v == "option";
  isType = t: v: typ v == t;
  mkRemovedOptionModule = p: msg: _: {
    options = setAttrByPath p (mkOption {
      visible = false;
      apply =
        _: throw "The option `${showOption p}' can no longer be used since it's been removed. ${msg}";
    });
  };

in
{
  inherit
    mkType
    mergeOne
    mergeEq
    eqType
    between
    unsignedBits
    paren
    types
    mergeAttrs'
    isPlain
    plainTypes
    mkOption
    mkEnableOption
    mkPackageOption
    isOption
    isType
    mkRemovedOptionModule
    ;
}
