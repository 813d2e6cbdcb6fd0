# The few list, string and number functions that the other files need, so that `modules/lib` needs no nixpkgs.
let
  inherit (builtins)
    attrNames
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    fromJSON
    fromTOML
    genList
    hashString
    head
    isString
    length
    listToAttrs
    map
    match
    replaceStrings
    split
    stringLength
    substring
    tail
    ;
in
rec {
  optional = condition: value: if condition then [ value ] else [ ];
  optionals = condition: values: if condition then values else [ ];
  optionalString = condition: text: if condition then text else "";
  optionalAttrs = condition: attrs: if condition then attrs else { };
  unique = foldl' (seen: value: if elem value seen then seen else seen ++ [ value ]) [ ];
  flatten = concatLists;
  imap0 = f: values: genList (i: f i (elemAt values i)) (length values);
  findFirst =
    predicate: default: values:
    let
      found = filter predicate values;
    in
    if found == [ ] then default else head found;
  last = values: elemAt values (length values - 1);
  take = n: values: genList (elemAt values) (if n < length values then n else length values);
  range = first: end: genList (i: first + i) (if end < first then 0 else end - first + 1);
  indexOf =
    value: values:
    let
      go =
        i:
        if i == length values then
          null
        else if elemAt values i == value then
          i
        else
          go (i + 1);
    in
    go 0;

  filterAttrs =
    predicate: attrs:
    listToAttrs (
      concatMap (
        name:
        optional (predicate name attrs.${name}) {
          inherit name;
          value = attrs.${name};
        }
      ) (attrNames attrs)
    );
  mapAttrsToList = f: attrs: map (name: f name attrs.${name}) (attrNames attrs);
  genAttrs =
    names: f:
    listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );
  recursiveUpdate =
    left: right:
    left
    // builtins.mapAttrs (
      name: value:
      if builtins.isAttrs value && builtins.isAttrs (left.${name} or null) then
        recursiveUpdate left.${name} value
      else
        value
    ) right;

  concatMapStrings = f: values: concatStringsSep "" (map f values);
  concatMapStringsSep =
    separator: f: values:
    concatStringsSep separator (map f values);
  lines = concatMapStrings (line: line + "\n");
  hasPrefix = prefix: text: substring 0 (stringLength prefix) text == prefix;
  hasSuffix =
    suffix: text:
    stringLength text >= stringLength suffix
    && substring (stringLength text - stringLength suffix) (stringLength suffix) text == suffix;
  removeSuffix =
    suffix: text:
    if hasSuffix suffix text then substring 0 (stringLength text - stringLength suffix) text else text;
  splitOn = separator: text: filter isString (split (escapeRegex separator) text);
  escapeRegex =
    replaceStrings
      [
        "\\"
        "["
        "{"
        "("
        ")"
        "^"
        "$"
        "*"
        "+"
        "?"
        "|"
        "."
      ]
      [
        "\\\\"
        "\\["
        "\\{"
        "\\("
        "\\)"
        "\\^"
        "\\$"
        "\\*"
        "\\+"
        "\\?"
        "\\|"
        "\\."
      ];
  fixedWidth =
    width: text:
    text
    + concatStringsSep "" (
      genList (_: " ") (if stringLength text < width then width - stringLength text else 0)
    );

  zeroPadded =
    width: n:
    let
      digits = toString n;
    in
    concatStringsSep "" (
      genList (_: "0") (if stringLength digits < width then width - stringLength digits else 0)
    )
    + digits;

  # A number from its decimal digits, leading zeros allowed.
  toInt =
    text:
    let
      digits = match "0*([0-9]+)" text;
    in
    if digits == null then throw "`${text}' is not a number" else fromJSON (head digits);
  fromHex = digits: (fromTOML "n = 0x${digits}").n;
  pow2 = n: if n == 0 then 1 else 2 * pow2 (n - 1);
  # The first eight hexadecimal digits of a text's SHA-256: a short name that never changes.
  hash8 = text: substring 0 8 (hashString "sha256" text);

  # Octets of a size such as `20GB` or `64KiB`.
  bytes =
    size:
    let
      # Units in any case, as the planner reads them.
      parts = match " *([0-9]+) *([KMGTP]?I?)B? *" (
        replaceStrings
          [
            "k"
            "m"
            "g"
            "t"
            "p"
            "i"
            "b"
          ]
          [
            "K"
            "M"
            "G"
            "T"
            "P"
            "I"
            "B"
          ]
          (toString size)
      );
      power = unit: if unit == 0 then 1 else 1000 * power (unit - 1);
      letters = {
        "" = 1;
        K = power 1;
        M = power 2;
        G = power 3;
        T = power 4;
        P = power 5;
        KI = 1024;
        MI = 1024 * 1024;
        GI = 1024 * 1024 * 1024;
        TI = 1024 * 1024 * 1024 * 1024;
        PI = 1024 * 1024 * 1024 * 1024 * 1024;
      };
    in
    if builtins.isInt size then
      size
    else if parts == null then
      throw "`${size}' is not a size such as 20GB"
    else
      toInt (head parts) * letters.${elemAt parts 1};

  # Seconds of a duration such as `5m` or `1h30m`.
  seconds =
    span:
    let
      units = {
        s = 1;
        m = 60;
        h = 3600;
        d = 86400;
        w = 604800;
      };
      parts = filter builtins.isList (split "([0-9]+)([smhdw])" span);
    in
    if builtins.isInt span then
      span
    else if parts == [ ] then
      throw "`${span}' is not a duration such as 5m"
    else
      foldl' (sum: part: sum + toInt (head part) * units.${head (tail part)}) 0 parts;
}
