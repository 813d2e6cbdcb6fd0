# A stand-in for the part of nixpkgs' `lib` that our modules use, so that they can be evaluated where nixpkgs cannot be had.
#
# Everything that a module calls must exist in both. With `NIXPKGS` naming a checkout the same tests use the real one.
let
  parts =
    import ./basics.nix
    // import ./properties.nix { inherit lib; }
    // import ./types.nix { inherit lib; }
    // import ./modules.nix { inherit lib; };

  lib = parts // {
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
      attrValues
      hasAttr
      elem
      head
      tail
      length
      concatLists
      concatMap
      concatStringsSep
      filter
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
      removeAttrs
      intersectAttrs
      functionArgs
      any
      all
      sort
      lessThan
      catAttrs
      groupBy
      partition
      ;
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    literalMD = text: {
      _type = "literalMD";
      inherit text;
    };
    version = "minilib";
    # nixpkgs' sub-namespaces: the same functions.
    strings = lib;
    attrsets = lib;
    lists = lib;
    options = lib;
    modules = lib;
    trivial = lib;
    generators.toJSON = _: builtins.toJSON;
  };
in
lib
