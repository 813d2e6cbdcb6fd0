# `evalModules`.
{ lib }:
let
  inherit (builtins)
    isAttrs
    isString
    isFunction
    isPath
    attrNames
    elem
    head
    length
    concatLists
    concatMap
    filter
    map
    foldl'
    genList
    elemAt
    listToAttrs
    mapAttrs
    toString
    removeAttrs
    intersectAttrs
    functionArgs
    all
    ;
  inherit (lib)
    id
    optional
    optionalAttrs
    nameValuePair
    mapAttrsToList
    filterAttrs
    setAttrByPath
    recursiveUpdate
    drop
    imap1
    showOption
    mkMerge
    mkOptionDefault
    pushDown
    showDefs
    mergeDefs
    types
    isPlain
    plainTypes
    mkOption
    isOption
    ;
  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      check ? true,
      args ? { },
    }:
    let
      applyIfFunction =
        m:
        if isFunction m || (isAttrs m && m ? __functor) then
          let
            f = functionArgs m;
            extra = mapAttrs (n: _: cfgArgs.${n} or (throw "module argument `${n}' is not available")) (
              removeAttrs f (attrNames base)
            );
          in
          m (base // extra)
        else
          m;
      base = specialArgs // {
        inherit lib;
        config = result;
        options = optTree.options;
      };
      cfgArgs = args // tree.config._module.args;
      load =
        file: m:
        if isPath m || isString m then
          load (toString m) (import m)
        else
          let
            v = applyIfFunction m;
          in
          {
            file = v._file or file;
            value = v;
          };
      norm =
        l:
        let
          v = l.value;
          structured = v ? options || v ? config;
        in
        {
          inherit (l) file;
          imports = v.imports or [ ];
          options = v.options or { };
          freeform = v.freeformType or null;
          config =
            if structured then
              mkMerge [
                (v.config or { })
                (optionalAttrs (v ? freeformType) { })
              ]
            else
              removeAttrs v [
                "imports"
                "_file"
                "key"
                "disabledModules"
                "freeformType"
                "_class"
                "meta"
              ];
        };
      # Modules and what they import, each file once, in the order of nixpkgs' lib: lists are merged in it.
      closure = builtins.genericClosure {
        startSet = imap1 (number: entry [ ] "<unknown-file>" ":${toString number}") (
          modules ++ [ internal ]
        );
        operator =
          item:
          imap1 (
            number: entry (item.above ++ [ item.key ]) item.module.file "${item.key}:${toString number}"
          ) item.module.imports;
      };
      entry =
        above: file: anonymous: m:
        let
          key = if isPath m || isString m then toString m else anonymous;
        in
        {
          inherit above;
          # nixpkgs' lib does not end when modules import each other.
          key = if elem key above then throw "${key} imports itself, by way of ${toString above}" else key;
          module = norm (load file m);
        };
      all' = map (index: (elemAt closure (length closure - 1 - index)).module) (
        genList (index: index) (length closure)
      );
      internal = {
        _file = "minilib";
        options._module.args = mkOption {
          type = types.attrsOf types.raw;
          default = { };
        };
      };
      freeform =
        let
          fs = filter (x: x != null) (map (m: m.freeform) all');
        in
        if fs == [ ] then null else head fs;

      optTree = build prefix (
        map (m: {
          inherit (m) file;
          value = m.options;
        }) all'
      );
      # -> { options = tree of evaluated options; }
      # A subtree that one module alone declares needs no merging: NixOS' own options stay as they are for every host.
      build =
        loc: decls:
        if length decls == 1 then
          { options = (head decls).value; }
        else
          {
            options = mapAttrs (
              n: _:
              let
                here = concatMap (
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
                ) decls;
                opts = filter (d: isOption d.value) here;
              in
              if opts == [ ] then
                (build (loc ++ [ n ]) here).options
              else if
                length opts > 1
                && !(all (d: d.value ? type && d.value.type.sub or null != null || !(d.value ? type)) opts)
              then
                throw "The option `${showOption (loc ++ [ n ])}' in `${toString (elemAt opts 0).file}' is already declared in `${toString (elemAt opts 1).file}'."
              else
                let
                  o = foldl' (a: d: a // d.value) { } opts;
                  subs = concatMap (d: d.value.type.sub or [ ]) opts;
                in
                o // optionalAttrs (length opts > 1 && subs != [ ]) { type = types.submodule subs; }
            ) (foldl' (a: d: a // d.value) { } decls);
          };

      defsAll = concatMap (
        m:
        map (v: {
          inherit (m) file;
          value = v;
        }) (pushDown m.config)
      ) all';
      evalTree =
        loc: opts: defs:
        let
          defsFor =
            n:
            concatMap (
              d:
              if isAttrs d.value && d.value ? ${n} then
                [
                  {
                    inherit (d) file;
                    value = d.value.${n};
                  }
                ]
              else
                [ ]
            ) defs;
          defined = listToAttrs (
            concatMap (
              d: if isAttrs d.value then map (n: nameValuePair n null) (attrNames d.value) else [ ]
            ) defs
          );
          node =
            n: o:
            let
              ds = if defined ? ${n} then defsFor n else [ ];
              l = loc ++ [ n ];
            in
            if isOption o then
              let
                t = o.type or types.unspecified;
                m = mergeDefs l t (
                  ds
                  ++ optional (o ? default) {
                    file = "<default>";
                    value = mkOptionDefault o.default;
                  }
                );
                v =
                  if ds == [ ] && o ? default && isPlain o.default && t.check o.default && plainTypes ? ${t.name} then
                    o.default
                  else if m.isDefined then
                    m.value
                  else if t.hasEmpty && false then
                    t.emptyValue
                  else
                    throw "The option `${showOption l}' was accessed but has no value defined. Try setting the option.";
              in
              {
                value = (o.apply or id) v;
                unmatched = [ ];
                isSet = ds != [ ] && m.isDefined && m.prio < 1500;
                set = (o.apply or id) v;
              }
            else
              let
                r = evalTree l o (
                  concatMap (
                    d:
                    map (v: {
                      inherit (d) file;
                      value = v;
                    }) (pushDown d.value)
                  ) ds
                );
              in
              {
                value = r.config;
                inherit (r) unmatched set;
                isSet = ds != [ ] && r.set != { };
              };
          nodes = mapAttrs node opts;
          touched = intersectAttrs defined nodes;
        in
        {
          config = mapAttrs (_: n: n.value) nodes;
          # Only what somebody defined, at whatever depth.
          set = mapAttrs (_: n: n.set) (filterAttrs (_: n: n.isSet) touched);
          unmatched =
            concatLists (mapAttrsToList (_: n: n.unmatched) touched)
            ++ concatMap (
              d:
              map (n: {
                loc = loc ++ [ n ];
                inherit (d) file;
                value = d.value.${n};
              }) (filter (n: !(opts ? ${n})) (attrNames d.value))
            ) defs;
        };
      tree = evalTree prefix optTree.options defsAll;
      free =
        if freeform == null then
          { }
        else
          freeform.merge prefix (
            map (u: {
              inherit (u) file;
              value = setAttrByPath (drop (length prefix) u.loc) u.value;
            }) tree.unmatched
          );
      checked =
        if freeform == null && check && tree.unmatched != [ ] then
          let
            u = head tree.unmatched;
          in
          throw "The option `${showOption u.loc}' does not exist. Definition values:${showDefs [ u ]}"
        else
          null;
      result = (if freeform == null then { } else free) // tree.config;
      public = builtins.seq checked (
        removeAttrs (if freeform == null then tree.config else recursiveUpdate free tree.config) [
          "_module"
        ]
      );
    in
    {
      config = public;
      options = removeAttrs optTree.options [ "_module" ];
      set = builtins.seq checked (removeAttrs tree.set [ "_module" ]);
    };

in
{
  inherit evalModules;
}
