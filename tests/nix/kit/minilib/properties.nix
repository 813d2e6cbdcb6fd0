# What a definition says beside its value (`mkIf`, `mkForce`, `mkBefore` …), and how definitions of one option become one value.
{ lib }:
let
  inherit (builtins)
    isAttrs
    isBool
    isFunction
    concatMap
    filter
    map
    foldl'
    mapAttrs
    toJSON
    toString
    any
    sort
    typeOf
    ;
  inherit (lib) concatMapStrings isDerivation showOption;
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkOptionDefault = mkOverride 1500;
  mkDefault = mkOverride 1000;
  mkImageMediaOverride = mkOverride 60;
  mkForce = mkOverride 50;
  mkVMOverride = mkOverride 10;
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  mkAssert =
    c: m: v:
    if c then v else throw m;
  typ = v: if isAttrs v then v._type or null else null;

  # push if/merge/override/order one attribute level down -> list of plain attrsets
  pushDown =
    v:
    let
      t = typ v;
    in
    if t == "merge" then
      concatMap pushDown v.contents
    else if t == "if" then
      map (mapAttrs (_: mkIf v.condition)) (pushDown v.content)
    else if t == "override" then
      map (mapAttrs (_: mkOverride v.priority)) (pushDown v.content)
    else if t == "order" then
      map (mapAttrs (_: mkOrder v.priority)) (pushDown v.content)
    else
      [ v ];
  # all definitions a value stands for, with priority and order
  discharge =
    d:
    let
      go =
        prio: ord: v:
        let
          t = typ v;
        in
        if t == "merge" then
          concatMap (go prio ord) v.contents
        else if t == "if" then
          (
            if isBool v.condition then
              (if v.condition then go prio ord v.content else [ ])
            else
              throw "`mkIf' called with a non-Boolean condition"
          )
        else if t == "override" then
          go v.priority ord v.content
        else if t == "order" then
          go prio v.priority v.content
        else
          [
            {
              inherit (d) file;
              value = v;
              inherit prio ord;
            }
          ];
    in
    go 100 1000 d.value;

  show =
    v:
    if isFunction v then
      "<function>"
    else if isDerivation v then
      "<derivation ${v.name or "?"}>"
    else
      let
        r = builtins.tryEval (toJSON v);
      in
      if r.success then r.value else "<${typeOf v}>";
  showDefs = concatMapStrings (d: "\n- In `${toString d.file}': ${show d.value}");

  # merge all definitions of one option/element
  mergeDefs =
    loc: type: defs:
    let
      ds = concatMap discharge defs;
      top = foldl' (m: d: if d.prio < m then d.prio else m) 9999 ds;
      kept = filter (d: d.prio == top) ds;
      sorted = if any (d: d.ord != 1000) kept then sort (x: y: x.ord < y.ord) kept else kept;
      bad = filter (d: !(type.check d.value)) sorted;
    in
    {
      isDefined = kept != [ ];
      prio = top;
      value =
        if bad != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs bad}"
        else
          type.merge loc sorted;
    };

in
{
  inherit
    mkIf
    mkMerge
    mkOverride
    mkOrder
    mkOptionDefault
    mkDefault
    mkImageMediaOverride
    mkForce
    mkVMOverride
    mkBefore
    mkAfter
    mkAssert
    typ
    pushDown
    discharge
    show
    showDefs
    mergeDefs
    ;
}
