# A stand-in for `pkgs`. A package is a name and a path that does not exist; a generated file is a real one, written with
# `builtins.toFile`, so that whoever mentions it can be followed to its text.
{
  lib,
  sources ? [ ],
}:
let
  formats = import ./formats.nix { inherit lib; };

  package =
    name:
    let
      outPath = "/nix/store/00000000000000000000000000000000-${name}";
      self = {
        type = "derivation";
        inherit name outPath;
        pname = name;
        version = "0";
        meta.mainProgram = name;
        passthru = { };
        override = _: self;
        overrideAttrs = _: self;
      }
      // lib.genAttrs [ "out" "bin" "dev" "lib" "doc" "man" ] (_: self);
    in
    self;

  # Nix's names of files in the store.
  plain =
    name:
    builtins.concatStringsSep "-" (
      builtins.filter (part: builtins.isString part && part != "") (
        builtins.split "[^A-Za-z0-9+._?=-]+" name
      )
    );
  file =
    name: text:
    package name
    // {
      inherit text;
      outPath = builtins.toFile (plain name) text;
    };

  # What a build would make of files that exist is not known here. One that checks a generated file and passes it on
  # (`runCommand "x.conf" { config = file; } "check $config && cp $config $out"`) stands for the first such file in its environment.
  run =
    name: environment: _:
    let
      generated = builtins.filter (value: lib.isDerivation value && value ? text) (
        builtins.attrValues (if builtins.isAttrs environment then environment else { })
      );
    in
    if generated == [ ] then package name else file name (builtins.head generated).text;

  script = name: text: file name "#!/bin/bash\n${text}";
  # A script `NAME` in a package: `PACKAGE/bin/NAME`. The package is the script's own file, which has nothing below it.
  scriptPackage =
    name: text:
    let
      body = script name text;
    in
    package name
    // {
      inherit text;
      outPath = "/nix/store/00000000000000000000000000000000-${name}";
      script = body;
    };

  # Every name that the sources say after `pkgs.`, or to `mkPackageOption pkgs`.
  texts =
    folder:
    lib.concatLists (
      lib.mapAttrsToList (
        name: kind:
        if kind == "directory" then
          texts (folder + "/${name}")
        else if lib.hasSuffix ".nix" name then
          [ (builtins.readFile (folder + "/${name}")) ]
        else
          [ ]
      ) (builtins.readDir folder)
    );
  mentioned =
    text:
    map (found: builtins.elemAt found 1) (
      builtins.filter builtins.isList (
        builtins.split "(pkgs\\.|mkPackageOption pkgs \"|mkPackageOption pkgs \\[ *\")([A-Za-z_][A-Za-z0-9_-]*)" text
      )
    );
  names = lib.unique (
    [
      "bash"
      "chasqui"
      "coreutils"
      "findutils"
      "gnugrep"
      "gnused"
      "systemd"
    ]
    ++ lib.concatMap mentioned (lib.concatMap texts sources)
  );

  pkgs = lib.genAttrs names package // {
    inherit lib;
    stdenv = {
      hostPlatform = {
        system = "x86_64-linux";
        isLinux = true;
        isx86_64 = true;
      };
      mkDerivation = attributes: package (attributes.name or attributes.pname);
    };
    system = "x86_64-linux";
    python3 = package "python3" // {
      withPackages = _: package "python3";
    };
    callPackage = source: _: package (baseNameOf (toString source));
    writeText = file;
    writeTextFile =
      {
        name,
        text,
        ...
      }:
      file name text;
    writeTextDir = path: file (baseNameOf path);
    writeShellScript = script;
    writeShellScriptBin = scriptPackage;
    writeShellApplication = { name, text, ... }: scriptPackage name text;
    runCommand = run;
    runCommandLocal = run;
    symlinkJoin = { name, ... }: package name;
    linkFarm = name: _: package name;
    buildEnv = { name, ... }: package name;
    formats = lib.mapAttrs (_: format: arguments: {
      type = lib.types.attrsOf lib.types.anything;
      generate = name: value: file name (format arguments value);
    }) formats;
  };
in
pkgs
