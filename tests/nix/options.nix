# Our own options, for the reference page: name, type, default as a text, what they mean.
{
  library ? null,
}:
let
  root = ../..;
  kit = import ./kit {
    inherit library;
    sources = [ (root + "/modules") ];
  };
  inherit (kit) lib;
  evaluated = kit.evaluate {
    modules = [ (root + "/modules") ];
  };

  text = value: if builtins.isAttrs value then value.text or (builtins.toJSON value) else value;
  # Long values go on one line here: the page is a table of contents, not the module.
  shown = value: builtins.replaceStrings [ "\n" ] [ " " ] value;
  defaultOf =
    option:
    if option ? defaultText then
      shown (text option.defaultText)
    else if !(option ? default) then
      null
    else
      let
        tried = builtins.tryEval (lib.generators.toJSON { } option.default);
      in
      if tried.success then "`${tried.value}`" else "a value";
  inside = {
    submodule = "";
    attrsOf = "<name>";
    lazyAttrsOf = "<name>";
    listOf = "*";
  };
  # The submodule's options, below what stands for the elements of its list or attribute set.
  subOptions =
    path: type:
    if type.sub or null == null then
      [ ]
    else
      let
        element = inside.${if type.name == "nullOr" then "submodule" else type.name} or null;
        options =
          (lib.evalModules {
            modules = type.sub;
            check = false;
            args.name = "<name>";
          }).options;
      in
      lib.optionals (element != null) (collect (path ++ lib.optional (element != "") element) options);
  collect =
    path: options:
    lib.concatLists (
      lib.mapAttrsToList (
        name: value:
        let
          here = path ++ [ name ];
        in
        if lib.isOption value then
          lib.optional (!(value.internal or false)) {
            name = lib.showOption here;
            type = value.type.description or "";
            default = defaultOf value;
            description = text (value.description or "");
          }
          ++ subOptions here (value.type or { })
        else if builtins.isAttrs value then
          collect here value
        else
          [ ]
      ) options
    );
in
collect [ "chasqui" ] evaluated.declared.chasqui
++ collect [ "services" "chasqui" ] evaluated.declared.services.chasqui
