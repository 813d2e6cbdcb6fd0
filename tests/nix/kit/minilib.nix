# Own, dependency-free stand-in for the part of nixpkgs' `lib` that NixOS modules
# commonly use, so that modules can be evaluated where nixpkgs cannot be had.
# NOT a replacement: with a nixpkgs at hand use (nixpkgs + "/lib") instead.
# Everything a module may call must exist in both; run the same checks with both.
let
  b = builtins;
  inherit (b) isAttrs isList isString isInt isBool isFloat isFunction isPath attrNames attrValues
    hasAttr elem head tail length concatLists concatMap concatStringsSep filter map foldl' genList
    elemAt listToAttrs mapAttrs toJSON fromJSON replaceStrings stringLength substring match toString
    removeAttrs intersectAttrs functionArgs any all sort lessThan catAttrs groupBy split typeOf partition;

  # ---- small functions -------------------------------------------------------
  id = x: x;
  const = x: _: x;
  flip = f: x: y: f y x;
  pipe = foldl' (x: f: f x);
  optional = c: x: if c then [ x ] else [ ];
  optionals = c: xs: if c then xs else [ ];
  optionalString = c: s: if c then s else "";
  optionalAttrs = c: a: if c then a else { };
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: a: map (n: f n a.${n}) (attrNames a);
  mapAttrs' = f: a: listToAttrs (mapAttrsToList f a);
  filterAttrs = p: a: listToAttrs (concatMap (n: if p n a.${n} then [ (nameValuePair n a.${n}) ] else [ ]) (attrNames a));
  concatMapAttrs = f: a: foldl' (x: y: x // y) { } (mapAttrsToList f a);
  genAttrs = ns: f: listToAttrs (map (n: nameValuePair n (f n)) ns);
  attrByPath = p: d: a: if p == [ ] then a else if isAttrs a && a ? ${head p} then attrByPath (tail p) d a.${head p} else d;
  hasAttrByPath = p: a: p == [ ] || (isAttrs a && a ? ${head p} && hasAttrByPath (tail p) a.${head p});
  setAttrByPath = p: v: if p == [ ] then v else { ${head p} = setAttrByPath (tail p) v; };
  getAttrFromPath = p: a: attrByPath p (throw "attribute ${concatStringsSep "." p} not found") a;
  recursiveUpdate = l: r: l // mapAttrs (n: v: if l ? ${n} && isAttrs v && isAttrs l.${n} && !(v ? type && v.type == "derivation") then recursiveUpdate l.${n} v else v) r;
  foldr = op: z: xs: let n = length xs; go = i: if i == n then z else op (elemAt xs i) (go (i + 1)); in go 0;
  flatten = x: if isList x then concatMap flatten x else [ x ];
  unique = foldl' (acc: e: if elem e acc then acc else acc ++ [ e ]) [ ];
  range = a: z: if a > z then [ ] else genList (i: a + i) (z - a + 1);
  imap0 = f: xs: genList (i: f i (elemAt xs i)) (length xs);
  imap1 = f: xs: genList (i: f (i + 1) (elemAt xs i)) (length xs);
  last = xs: elemAt xs (length xs - 1);
  init = xs: genList (elemAt xs) (length xs - 1);
  take = n: xs: genList (elemAt xs) (if n < length xs then n else length xs);
  drop = n: xs: let l = length xs; in if n >= l then [ ] else genList (i: elemAt xs (i + n)) (l - n);
  subtractLists = e: filter (x: !(elem x e));
  intersectLists = e: filter (x: elem x e);
  zipListsWith = f: a: c: genList (i: f (elemAt a i) (elemAt c i)) (if length a < length c then length a else length c);
  findFirst = p: d: xs: let r = filter p xs; in if r == [ ] then d else head r;
  count = p: xs: length (filter p xs);
  zipAttrsWith = b.zipAttrsWith;
  concatMapStringsSep = s: f: xs: concatStringsSep s (map f xs);
  concatMapStrings = concatMapStringsSep "";
  concatStrings = concatStringsSep "";
  concatLines = xs: concatMapStrings (x: x + "\n") xs;
  concatImapStringsSep = s: f: xs: concatStringsSep s (imap1 f xs);
  hasPrefix = p: s: substring 0 (stringLength p) s == p;
  hasSuffix = p: s: let l = stringLength s; n = stringLength p; in l >= n && substring (l - n) n s == p;
  hasInfix = i: s: length (split (escapeRegex i) s) > 1;
  removePrefix = p: s: if hasPrefix p s then substring (stringLength p) (stringLength s) s else s;
  removeSuffix = p: s: if hasSuffix p s then substring 0 (stringLength s - stringLength p) s else s;
  stringToCharacters = s: genList (i: substring i 1 s) (stringLength s);
  escape = cs: replaceStrings cs (map (c: "\\" + c) cs);
  escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
  splitString = sep: s: filter isString (split (escapeRegex sep) s);
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"; lower = "abcdefghijklmnopqrstuvwxyz";
  toLower = replaceStrings (stringToCharacters upper) (stringToCharacters lower);
  toUpper = replaceStrings (stringToCharacters lower) (stringToCharacters upper);
  escapeShellArg = a: let s = toString a; in if match "[[:alnum:],._+:@%/-]+" s != null then s else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  boolToString = x: if x then "true" else "false";
  fixedWidthNumber = w: n: let s = toString n; in concatStrings (genList (_: "0") (w - stringLength s)) + s;
  toInt = s: let m = match "[[:space:]]*(-?[0-9]+)[[:space:]]*" s; in if m == null then throw "not an integer: ${s}" else fromJSON (removeZero (head m));
  removeZero = s: let m = match "(-?)0*([0-9]+)" s; in elemAt m 0 + elemAt m 1;
  getExe' = p: n: "${getBin p}/bin/${n}";
  getExe = p: getExe' p (p.meta.mainProgram or p.pname or p.name);
  getBin = p: p.bin or p;
  makeBinPath = concatMapStringsSep ":" (p: "${getBin p}/bin");
  isDerivation = v: isAttrs v && v.type or null == "derivation";
  isStorePath = x: isStringLike x && substring 0 11 (toString x) == "/nix/store/";
  isStringLike = x: isString x || isPath x || (isAttrs x && (x ? outPath || x ? __toString));
  showOption = parts: concatStringsSep "." (map (p: if p == "<name>" || p == "*" || match "[a-zA-Z_][a-zA-Z0-9_'-]*" p != null then p else toJSON p) parts);
  assertMsg = c: m: c || throw m;
  warn = m: v: b.trace "warning: ${m}" v;
  warnIf = c: m: if c then warn m else id;
  throwIf = c: m: if c then throw m else id;
  throwIfNot = c: throwIf (!c);
  importJSON = p: fromJSON (b.readFile p);

  # ---- properties --------------------------------------------------------------
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkOrder = priority: content: { _type = "order"; inherit priority content; };
  mkOptionDefault = mkOverride 1500; mkDefault = mkOverride 1000; mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50; mkVMOverride = mkOverride 10;
  mkBefore = mkOrder 500; mkAfter = mkOrder 1500;
  mkAssert = c: m: v: if c then v else throw m;
  typ = v: if isAttrs v then v._type or null else null;

  # push if/merge/override/order one attribute level down -> list of plain attrsets
  pushDown = v:
    let t = typ v; in
    if t == "merge" then concatMap pushDown v.contents
    else if t == "if" then map (mapAttrs (_: mkIf v.condition)) (pushDown v.content)
    else if t == "override" then map (mapAttrs (_: mkOverride v.priority)) (pushDown v.content)
    else if t == "order" then map (mapAttrs (_: mkOrder v.priority)) (pushDown v.content)
    else [ v ];
  # all definitions a value stands for, with priority and order
  discharge = d:
    let
      go = prio: ord: v:
        let t = typ v; in
        if t == "merge" then concatMap (go prio ord) v.contents
        else if t == "if" then (if isBool v.condition then (if v.condition then go prio ord v.content else [ ]) else throw "`mkIf' called with a non-Boolean condition")
        else if t == "override" then go v.priority ord v.content
        else if t == "order" then go prio v.priority v.content
        else [ { inherit (d) file; value = v; inherit prio ord; } ];
    in go 100 1000 d.value;

  show = v:
    if isFunction v then "<function>" else if isDerivation v then "<derivation ${v.name or "?"}>"
    else let r = b.tryEval (toJSON v); in if r.success then r.value else "<${typeOf v}>";
  showDefs = concatMapStrings (d: "\n- In `${toString d.file}': ${show d.value}");

  # merge all definitions of one option/element
  mergeDefs = loc: type: defs:
    let
      ds = concatMap discharge defs;
      top = foldl' (m: d: if d.prio < m then d.prio else m) 9999 ds;
      kept = filter (d: d.prio == top) ds;
      sorted = if any (d: d.ord != 1000) kept then sort (x: y: x.ord < y.ord) kept else kept;
      bad = filter (d: !(type.check d.value)) sorted;
    in {
      isDefined = kept != [ ];
      prio = top;
      value =
        if bad != [ ] then throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs bad}"
        else type.merge loc sorted;
    };

  # ---- types ---------------------------------------------------------------------
  mkType = a: { _type = "option-type"; emptyValue = null; hasEmpty = false; check = _: true; merge = mergeOne; sub = null; } // a // { description = a.description or a.name; };
  mergeOne = loc: defs: if length defs == 1 then (head defs).value else throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique. Definition values:${showDefs defs}";
  mergeEq = loc: defs: let f = (head defs).value; in if all (d: d.value == f) defs then f else throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}";
  eqType = name: description: check: mkType { inherit name description check; merge = mergeEq; };
  between = lo: hi: eqType "intBetween" "integer between ${toString lo} and ${toString hi} (both inclusive)" (x: isInt x && x >= lo && x <= hi);
  unsignedBits = n: hi: eqType "unsignedInt${toString n}" "${toString n} bit unsigned integer; between 0 and ${toString hi} (both inclusive)" (x: isInt x && x >= 0 && x <= hi);
  paren = t: if match ".* .*" t.description != null then "(${t.description})" else t.description;
  types = rec {
    inherit mkType;
    raw = mkType { name = "raw"; description = "raw value"; };
    unspecified = mkType { name = "unspecified"; description = "unspecified value"; merge = anything.merge; };
    anything = mkType { name = "anything"; merge = loc: defs:
      let vs = map (d: d.value) defs; t = typeOf (head vs); in
      if length vs == 1 && !(isAttrs (head vs)) then head vs
      else if all isAttrs vs && !(any isStringLike vs) then mergeAttrs' loc anything defs
      else if all isList vs then (if length vs == 1 then head vs else concatLists vs)
      else if all (v: typeOf v == t) vs && !(isFunction (head vs)) then mergeEq loc defs else mergeOne loc defs; };
    bool = eqType "bool" "boolean" isBool;
    boolByOr = mkType { name = "boolByOr"; description = "boolean (merged using or)"; check = isBool; merge = _: any (d: d.value); };
    int = eqType "int" "signed integer" isInt;
    float = eqType "float" "floating point number" isFloat;
    number = either int float;
    ints = { inherit between; unsigned = eqType "unsignedInt" "unsigned integer, meaning >=0" (x: isInt x && x >= 0);
      positive = eqType "positiveInt" "positive integer, meaning >0" (x: isInt x && x > 0);
      u8 = unsignedBits 8 255; u16 = unsignedBits 16 65535; u32 = unsignedBits 32 4294967295; };
    port = ints.u16;
    str = eqType "str" "string" isString;
    nonEmptyStr = eqType "nonEmptyStr" "non-empty string" (x: isString x && match "[ \t\n]*" x == null);
    singleLineStr = mkType { name = "singleLineStr"; description = "(optionally newline-terminated) single-line string"; check = x: isString x && match "[^\n\r]*\n?" x != null; merge = loc: defs: removeSuffix "\n" (mergeEq loc defs); };
    strMatching = p: eqType "strMatching ${toJSON p}" "string matching the pattern ${p}" (x: isString x && match p x != null);
    separatedString = sep: mkType { name = "separatedString"; description = "strings concatenated with ${toJSON sep}"; check = isString; merge = _: defs: concatStringsSep sep (map (d: d.value) defs); };
    lines = separatedString "\n"; commas = separatedString ","; envVar = separatedString ":";
    path = eqType "path" "absolute path" (x: isStringLike x && substring 0 1 (toString x) == "/");
    pathInStore = eqType "pathInStore" "path in the Nix store" isStorePath;
    package = mkType { name = "package"; check = x: isDerivation x || isStorePath x; };
    shellPackage = package;
    attrs = mkType { name = "attrs"; description = "attribute set"; check = isAttrs; merge = _: defs: foldl' (a: d: a // d.value) { } defs; };
    enum = vs: eqType "enum" "one of ${concatMapStringsSep ", " show vs}" (x: elem x vs);
    nullOr = t: mkType { name = "nullOr"; description = "null or ${paren t}"; check = x: x == null || t.check x; inherit (t) sub;
      merge = loc: defs: let n = count (d: d.value == null) defs; in if n == length defs then null else if n > 0 then throw "The option `${showOption loc}' is defined both null and not null." else t.merge loc defs; };
    listOf = t: mkType { name = "listOf"; description = "list of ${paren t}"; check = isList; hasEmpty = true; emptyValue = [ ]; sub = t.sub;
      merge = loc: defs: concatLists (imap1 (i: d: concatLists (imap1 (j: v:
        let m = mergeDefs (loc ++ [ "[definition ${toString i}-entry ${toString j}]" ]) t [ { inherit (d) file; value = v; } ]; in optional m.isDefined m.value) d.value)) defs); };
    nonEmptyListOf = t: addCheck (listOf t) (l: l != [ ]) // { description = "non-empty list of ${t.description}"; };
    attrsOf = t: mkType { name = "attrsOf"; description = "attribute set of ${paren t}"; check = isAttrs; hasEmpty = true; emptyValue = { }; sub = t.sub; merge = loc: mergeAttrs' loc t; };
    lazyAttrsOf = attrsOf;
    uniq = t: t // { merge = mergeOne; };
    unique = _: uniq;
    either = a: c: mkType { name = "either"; description = "${paren a} or ${paren c}"; check = x: a.check x || c.check x; sub = if a.sub != null then a.sub else c.sub;
      merge = loc: defs: if all (d: a.check d.value) defs then a.merge loc defs else if all (d: c.check d.value) defs then c.merge loc defs else mergeEq loc defs; };
    oneOf = ts: foldr either (last ts) (init ts);
    coercedTo = from: f: to: mkType { name = "coercedTo"; description = "${paren to} or ${paren from} convertible to it"; check = x: (from.check x && to.check (f x)) || to.check x; inherit (to) sub;
      merge = loc: defs: to.merge loc (map (d: d // { value = if from.check d.value then f d.value else d.value; }) defs); };
    addCheck = t: c: t // { check = x: t.check x && c x; };
    functionTo = t: mkType { name = "functionTo"; description = "function that evaluates to a(n) ${paren t}"; check = isFunction; merge = loc: defs: arg: (mergeDefs (loc ++ [ "<function body>" ]) t (map (d: d // { value = d.value arg; }) defs)).value; };
    deferredModule = mkType { name = "deferredModule"; description = "module"; check = x: isAttrs x || isFunction x || isPath x; merge = _: defs: { imports = map (d: d.value) defs; }; };
    submodule = m: submoduleWith { modules = if isList m then m else [ m ]; shorthandOnlyDefinesConfig = true; };
    submoduleWith = { modules, specialArgs ? { }, shorthandOnlyDefinesConfig ? false, description ? "submodule" }: mkType {
      name = "submodule"; inherit description; hasEmpty = true; emptyValue = { };
      check = x: isAttrs x || isFunction x || isPath x; sub = modules;
      merge = loc: defs: (evalModules {
        prefix = loc; inherit specialArgs;
        modules = [ { _module.args.name = last loc; } ] ++ modules ++ map (d: if isAttrs d.value && shorthandOnlyDefinesConfig then { _file = d.file; config = d.value; } else d.value) defs;
      }).config; };
  };
  mergeAttrs' = loc: t: defs:
    let
      pushed = concatMap (d: map (v: { inherit (d) file; value = v; }) (pushDown d.value)) defs;
      names = unique (concatMap (d: attrNames d.value) pushed);
      ms = genAttrs names (n: mergeDefs (loc ++ [ n ]) t (concatMap (d: if d.value ? ${n} then [ { inherit (d) file; value = d.value.${n}; } ] else [ ]) pushed));
    in mapAttrs (_: m: m.value) (filterAttrs (_: m: m.isDefined) ms);

  # A default that merging would give back as it is.
  isPlain = v: v == null || isBool v || isInt v || isString v || isFloat v || v == [ ];
  plainTypes = genAttrs [ "bool" "str" "nonEmptyStr" "int" "intBetween" "unsignedInt" "positiveInt" "unsignedInt8" "unsignedInt16" "unsignedInt32"
    "float" "nullOr" "listOf" "enum" "anything" "path" "separatedString" "strMatching" "raw" "unspecified" ] (_: true);

  # ---- options and modules ----------------------------------------------------
  mkOption = a: { _type = "option"; } // a;
  mkEnableOption = n: mkOption { default = false; example = true; description = "Whether to enable ${toString (n.text or n)}."; type = types.bool; };
  mkPackageOption = pkgs: name: { default ? name, nullable ? false, ... }: mkOption ({
      type = (if nullable then types.nullOr else id) types.package; description = "The ${if isList name then last name else name} package to use."; }
    // optionalAttrs (default != null) { default = getAttrFromPath (if isList default then default else [ default ]) pkgs; });
  isOption = v: typ v == "option";
  isType = t: v: typ v == t;
  mkRemovedOptionModule = p: msg: _: { options = setAttrByPath p (mkOption { visible = false; apply = _: throw "The option `${showOption p}' can no longer be used since it's been removed. ${msg}"; }); };

  evalModules = { modules, specialArgs ? { }, prefix ? [ ], check ? true, args ? { } }:
    let
      applyIfFunction = m:
        if isFunction m || (isAttrs m && m ? __functor) then
          let f = functionArgs m; extra = mapAttrs (n: _: cfgArgs.${n} or (throw "module argument `${n}' is not available")) (removeAttrs f (attrNames base)); in
          m (base // extra)
        else m;
      base = specialArgs // { inherit lib; config = result; options = optTree.options; };
      cfgArgs = args // tree.config._module.args;
      load = file: m:
        if isPath m || isString m then load (toString m) (import m)
        else let v = applyIfFunction m; in { file = v._file or file; value = v; };
      norm = l:
        let v = l.value; structured = v ? options || v ? config; in {
          inherit (l) file;
          imports = v.imports or [ ];
          options = v.options or { };
          freeform = v.freeformType or null;
          config = if structured then mkMerge [ (v.config or { }) (optionalAttrs (v ? freeformType) { }) ] else removeAttrs v [ "imports" "_file" "key" "disabledModules" "freeformType" "_class" "meta" ];
        };
      collect = seen: file: ms: foldl' (acc: m:
        let k = if isPath m || isString m then toString m else null; in
        if k != null && elem k acc.seen then acc
        else let n = norm (load file m); sub = collect (acc.seen ++ optional (k != null) k) n.file n.imports; in
          { seen = sub.seen; out = acc.out ++ sub.out ++ [ n ]; }) { inherit seen; out = [ ]; } ms;
      all' = (collect [ ] "<unknown-file>" (modules ++ [ internal ])).out;
      internal = { _file = "minilib"; options._module.args = mkOption { type = types.attrsOf types.raw; default = { }; }; };
      freeform = let fs = filter (x: x != null) (map (m: m.freeform) all'); in if fs == [ ] then null else head fs;

      optTree = build prefix (map (m: { inherit (m) file; value = m.options; }) all');
      # -> { options = tree of evaluated options; }
      # A subtree that one module alone declares needs no merging: NixOS' own options stay as they are for every host.
      build = loc: decls: if length decls == 1 then { options = (head decls).value; } else
        { options = mapAttrs (n: _:
            let
              here = concatMap (d: if d.value ? ${n} then [ { inherit (d) file; value = d.value.${n}; } ] else [ ]) decls;
              opts = filter (d: isOption d.value) here;
            in
            if opts == [ ] then (build (loc ++ [ n ]) here).options
            else if length opts > 1 && !(all (d: d.value ? type && d.value.type.sub or null != null || !(d.value ? type)) opts)
            then throw "The option `${showOption (loc ++ [ n ])}' in `${toString (elemAt opts 0).file}' is already declared in `${toString (elemAt opts 1).file}'."
            else let o = foldl' (a: d: a // d.value) { } opts;
                     subs = concatMap (d: d.value.type.sub or [ ]) opts;
                 in o // optionalAttrs (length opts > 1 && subs != [ ]) { type = types.submodule subs; })
          (foldl' (a: d: a // d.value) { } decls); };

      defsAll = concatMap (m: map (v: { inherit (m) file; value = v; }) (pushDown m.config)) all';
      evalTree = loc: opts: defs:
        let
          defsFor = n: concatMap (d: if isAttrs d.value && d.value ? ${n} then [ { inherit (d) file; value = d.value.${n}; } ] else [ ]) defs;
          defined = listToAttrs (concatMap (d: if isAttrs d.value then map (n: nameValuePair n null) (attrNames d.value) else [ ]) defs);
          node = n: o:
            let ds = if defined ? ${n} then defsFor n else [ ]; l = loc ++ [ n ]; in
            if isOption o then
              let
                t = o.type or types.unspecified;
                m = mergeDefs l t (ds ++ optional (o ? default) { file = "<default>"; value = mkOptionDefault o.default; });
                v = if ds == [ ] && o ? default && isPlain o.default && t.check o.default && plainTypes ? ${t.name} then o.default
                  else if m.isDefined then m.value else if t.hasEmpty && false then t.emptyValue else throw "The option `${showOption l}' was accessed but has no value defined. Try setting the option.";
              in { value = (o.apply or id) v; unmatched = [ ]; isSet = ds != [ ] && m.isDefined && m.prio < 1500; set = (o.apply or id) v; }
            else
              let r = evalTree l o (concatMap (d: map (v: { inherit (d) file; value = v; }) (pushDown d.value)) ds); in { value = r.config; inherit (r) unmatched set; isSet = ds != [ ] && r.set != { }; };
          nodes = mapAttrs node opts;
          touched = intersectAttrs defined nodes;
        in {
          config = mapAttrs (_: n: n.value) nodes;
          # Only what somebody defined, at whatever depth.
          set = mapAttrs (_: n: n.set) (filterAttrs (_: n: n.isSet) touched);
          unmatched = concatLists (mapAttrsToList (_: n: n.unmatched) touched)
            ++ concatMap (d: map (n: { loc = loc ++ [ n ]; inherit (d) file; value = d.value.${n}; }) (filter (n: !(opts ? ${n})) (attrNames d.value))) defs;
        };
      tree = evalTree prefix optTree.options defsAll;
      realUnmatched = filter (u: discharge { file = u.file; value = u.value; } != [ ]) tree.unmatched;
      free = if freeform == null then { } else
        freeform.merge prefix (map (u: { inherit (u) file; value = setAttrByPath (drop (length prefix) u.loc) u.value; }) tree.unmatched);
      checked =
        if freeform == null && check && realUnmatched != [ ] then
          let u = head realUnmatched; in throw "The option `${showOption u.loc}' does not exist. Definition values:${showDefs [ u ]}"
        else null;
      result = (if freeform == null then { } else free) // tree.config;
      public = b.seq checked (removeAttrs (if freeform == null then tree.config else recursiveUpdate free tree.config) [ "_module" ]);
    in { config = public; options = removeAttrs optTree.options [ "_module" ]; set = b.seq checked (removeAttrs tree.set [ "_module" ]); };

  lib = {
    inherit id const flip pipe optional optionals optionalString optionalAttrs nameValuePair mapAttrsToList mapAttrs' filterAttrs
      concatMapAttrs genAttrs attrByPath hasAttrByPath setAttrByPath getAttrFromPath recursiveUpdate foldr flatten unique range imap0 imap1
      last init take drop subtractLists intersectLists zipListsWith findFirst count zipAttrsWith concatMapStringsSep concatMapStrings
      concatStrings concatLines concatImapStringsSep hasPrefix hasSuffix hasInfix removePrefix removeSuffix stringToCharacters escape
      escapeRegex splitString toLower toUpper escapeShellArg escapeShellArgs boolToString fixedWidthNumber toInt getExe getExe' getBin
      makeBinPath isDerivation isStorePath isStringLike showOption assertMsg warn warnIf throwIf throwIfNot importJSON
      mkIf mkMerge mkOverride mkOrder mkOptionDefault mkDefault mkForce mkVMOverride mkImageMediaOverride mkBefore mkAfter mkAssert
      types mkOption mkEnableOption mkPackageOption isOption isType mkRemovedOptionModule evalModules
      isAttrs isList isString isInt isBool isFloat isFunction isPath attrNames attrValues hasAttr elem head tail length concatLists
      concatMap concatStringsSep filter foldl' genList elemAt listToAttrs mapAttrs replaceStrings stringLength substring match
      removeAttrs intersectAttrs functionArgs any all sort lessThan catAttrs groupBy partition toString toJSON fromJSON;
    literalExpression = text: { _type = "literalExpression"; inherit text; };
    literalMD = text: { _type = "literalMD"; inherit text; };
    mdDoc = x: x;
    maintainers = { }; licenses = { };
    version = "minilib";
    isMinilib = true;
    # nixpkgs' sub-namespaces, the same functions
    strings = lib; attrsets = lib; lists = lib; options = lib; modules = lib; trivial = lib; generators.toJSON = _: toJSON;
  };
in
lib
