# Lists, attribute sets, strings and paths, as nixpkgs' `lib` has them.
let
  inherit (builtins)
    isAttrs
    isList
    isString
    isPath
    attrNames
    elem
    head
    tail
    length
    concatMap
    concatStringsSep
    filter
    map
    foldl'
    genList
    elemAt
    listToAttrs
    mapAttrs
    toJSON
    fromJSON
    replaceStrings
    stringLength
    substring
    match
    toString
    split
    ;
  id = x: x;
  const = x: _: x;
  flip =
    f: x: y:
    f y x;
  pipe = foldl' (x: f: f x);
  optional = c: x: if c then [ x ] else [ ];
  optionals = c: xs: if c then xs else [ ];
  optionalString = c: s: if c then s else "";
  optionalAttrs = c: a: if c then a else { };
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: a: map (n: f n a.${n}) (attrNames a);
  mapAttrs' = f: a: listToAttrs (mapAttrsToList f a);
  filterAttrs =
    p: a:
    listToAttrs (concatMap (n: if p n a.${n} then [ (nameValuePair n a.${n}) ] else [ ]) (attrNames a));
  concatMapAttrs = f: a: foldl' (x: y: x // y) { } (mapAttrsToList f a);
  genAttrs = ns: f: listToAttrs (map (n: nameValuePair n (f n)) ns);
  attrByPath =
    p: d: a:
    if p == [ ] then
      a
    else if isAttrs a && a ? ${head p} then
      attrByPath (tail p) d a.${head p}
    else
      d;
  hasAttrByPath =
    p: a: p == [ ] || (isAttrs a && a ? ${head p} && hasAttrByPath (tail p) a.${head p});
  setAttrByPath = p: v: if p == [ ] then v else { ${head p} = setAttrByPath (tail p) v; };
  getAttrFromPath = p: a: attrByPath p (throw "attribute ${concatStringsSep "." p} not found") a;
  recursiveUpdate =
    l: r:
    l
    // mapAttrs (
      n: v:
      if l ? ${n} && isAttrs v && isAttrs l.${n} && !(v ? type && v.type == "derivation") then
        recursiveUpdate l.${n} v
      else
        v
    ) r;
  foldr =
    op: z: xs:
    let
      n = length xs;
      go = i: if i == n then z else op (elemAt xs i) (go (i + 1));
    in
    go 0;
  toList = x: if isList x then x else [ x ];
  flatten = x: if isList x then concatMap flatten x else [ x ];
  unique = foldl' (acc: e: if elem e acc then acc else acc ++ [ e ]) [ ];
  range = a: z: if a > z then [ ] else genList (i: a + i) (z - a + 1);
  imap0 = f: xs: genList (i: f i (elemAt xs i)) (length xs);
  imap1 = f: xs: genList (i: f (i + 1) (elemAt xs i)) (length xs);
  last = xs: elemAt xs (length xs - 1);
  init = xs: genList (elemAt xs) (length xs - 1);
  take = n: xs: genList (elemAt xs) (if n < length xs then n else length xs);
  drop =
    n: xs:
    let
      l = length xs;
    in
    if n >= l then [ ] else genList (i: elemAt xs (i + n)) (l - n);
  subtractLists = e: filter (x: !(elem x e));
  intersectLists = e: filter (x: elem x e);
  zipListsWith =
    f: a: c:
    genList (i: f (elemAt a i) (elemAt c i)) (if length a < length c then length a else length c);
  findFirst =
    p: d: xs:
    let
      r = filter p xs;
    in
    if r == [ ] then d else head r;
  count = p: xs: length (filter p xs);
  zipAttrsWith = builtins.zipAttrsWith;
  concatMapStringsSep =
    s: f: xs:
    concatStringsSep s (map f xs);
  concatMapStrings = concatMapStringsSep "";
  concatStrings = concatStringsSep "";
  concatLines = xs: concatMapStrings (x: x + "\n") xs;
  concatImapStringsSep =
    s: f: xs:
    concatStringsSep s (imap1 f xs);
  hasPrefix = p: s: substring 0 (stringLength p) s == p;
  hasSuffix =
    p: s:
    let
      l = stringLength s;
      n = stringLength p;
    in
    l >= n && substring (l - n) n s == p;
  hasInfix = i: s: length (split (escapeRegex i) s) > 1;
  removePrefix = p: s: if hasPrefix p s then substring (stringLength p) (stringLength s) s else s;
  removeSuffix = p: s: if hasSuffix p s then substring 0 (stringLength s - stringLength p) s else s;
  stringToCharacters = s: genList (i: substring i 1 s) (stringLength s);
  escape = cs: replaceStrings cs (map (c: "\\" + c) cs);
  escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
  splitString = sep: s: filter isString (split (escapeRegex sep) s);
  upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  lower = "abcdefghijklmnopqrstuvwxyz";
  toLower = replaceStrings (stringToCharacters upper) (stringToCharacters lower);
  toUpper = replaceStrings (stringToCharacters lower) (stringToCharacters upper);
  escapeShellArg =
    a:
    let
      s = toString a;
    in
    if match "[[:alnum:],._+:@%/-]+" s != null then s else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  boolToString = x: if x then "true" else "false";
  fixedWidthNumber =
    w: n:
    let
      s = toString n;
    in
    concatStrings (genList (_: "0") (w - stringLength s)) + s;
  toInt =
    s:
    let
      m = match "[[:space:]]*(-?[0-9]+)[[:space:]]*" s;
    in
    if m == null then throw "not an integer: ${s}" else fromJSON (removeZero (head m));
  removeZero =
    s:
    let
      m = match "(-?)0*([0-9]+)" s;
    in
    elemAt m 0 + elemAt m 1;
  getExe' = p: n: "${getBin p}/bin/${n}";
  getExe = p: getExe' p (p.meta.mainProgram or p.pname or p.name);
  getBin = p: p.bin or p;
  makeBinPath = concatMapStringsSep ":" (p: "${getBin p}/bin");
  isDerivation = v: isAttrs v && v.type or null == "derivation";
  isStorePath = x: isStringLike x && substring 0 11 (toString x) == "/nix/store/";
  isStringLike = x: isString x || isPath x || (isAttrs x && (x ? outPath || x ? __toString));
  showOption =
    parts:
    concatStringsSep "." (
      map (
        p: if p == "<name>" || p == "*" || match "[a-zA-Z_][a-zA-Z0-9_'-]*" p != null then p else toJSON p
      ) parts
    );
  assertMsg = c: m: c || throw m;
  warn = m: v: builtins.trace "warning: ${m}" v;
  warnIf = c: m: if c then warn m else id;
  throwIf = c: m: if c then throw m else id;
  throwIfNot = c: throwIf (!c);
  importJSON = p: fromJSON (builtins.readFile p);

in
{
  inherit
    id
    const
    flip
    pipe
    optional
    optionals
    optionalString
    optionalAttrs
    nameValuePair
    mapAttrsToList
    mapAttrs'
    filterAttrs
    concatMapAttrs
    genAttrs
    attrByPath
    hasAttrByPath
    setAttrByPath
    getAttrFromPath
    recursiveUpdate
    foldr
    flatten
    toList
    unique
    range
    imap0
    imap1
    last
    init
    take
    drop
    subtractLists
    intersectLists
    zipListsWith
    findFirst
    count
    zipAttrsWith
    concatMapStringsSep
    concatMapStrings
    concatStrings
    concatLines
    concatImapStringsSep
    hasPrefix
    hasSuffix
    hasInfix
    removePrefix
    removeSuffix
    stringToCharacters
    escape
    escapeRegex
    splitString
    upper
    lower
    toLower
    toUpper
    escapeShellArg
    escapeShellArgs
    boolToString
    fixedWidthNumber
    toInt
    removeZero
    getExe'
    getExe
    getBin
    makeBinPath
    isDerivation
    isStorePath
    isStringLike
    showOption
    assertMsg
    warn
    warnIf
    throwIf
    throwIfNot
    importJSON
    ;
}
