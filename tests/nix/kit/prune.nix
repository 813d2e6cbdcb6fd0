# Leaves of an evaluated configuration what somebody set: drops defaults, and the marker of stub options that nobody set.
# Forces everything that stays, so that a misspelt name or a wrong type shows wherever it stands.
{ lib, facts }:
let
  # Names to facts as a tree: { self = fact or null; kids = … }.
  grow =
    entries:
    let
      here = builtins.filter (entry: entry.path == [ ]) entries;
      below = builtins.filter (entry: entry.path != [ ]) entries;
    in
    {
      self = if here == [ ] then null else (builtins.head here).fact;
      kids = builtins.mapAttrs (
        _: group: grow (map (entry: entry // { path = builtins.tail entry.path; }) group)
      ) (builtins.groupBy (entry: builtins.head entry.path) below);
    };
  tree = grow (
    map (name: {
      path = builtins.filter builtins.isString (builtins.split "\\." name);
      fact = facts.${name};
    }) (builtins.attrNames facts)
  );
  nothing = {
    self = null;
    kids = { };
  };

  isDefault =
    node: value:
    node.self != null && builtins.length node.self > 1 && value == builtins.elemAt node.self 1;

  # What stands for an entry's name: `<name>`, `<path>`, `*`.
  placeholders =
    node: builtins.filter (name: builtins.match "<.*>|\\*" name != null) (builtins.attrNames node.kids);
  inside =
    node: fallback:
    if placeholders node == [ ] then fallback else node.kids.${builtins.head (placeholders node)};

  isNamed = node: name: !(node.kids ? ${name}) && placeholders node != [ ];

  prune =
    node: value:
    if builtins.isFunction value then
      "<function>"
    else if builtins.isAttrs value then
      if value.type or null == "derivation" then
        value.outPath
      else
        # An empty entry that somebody named is there (`users.groups.mail = { }`).
        lib.filterAttrs
          (
            name: inner:
            inner != null && inner != "<unset>" && inner != [ ] && (inner != { } || isNamed node name)
          )
          (
            builtins.mapAttrs (
              name: inner:
              let
                child = node.kids.${name} or (inside node nothing);
              in
              if !(builtins.isAttrs inner) && !(builtins.isFunction inner) && isDefault child inner then
                null
              else
                prune child inner
            ) value
          )
    else if builtins.isList value then
      map (prune (inside node node)) value
    else if builtins.isPath value then
      toString value
    else
      value;
in
prune tree
