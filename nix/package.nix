# The `chasqui` binary with its manual pages and completions. Tests are not run here: they need Debian's mail programs and root (tests/run);
# what is installed is tried.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
}:
let
  workspace = (lib.importTOML ../Cargo.toml).workspace.package;
in
rustPlatform.buildRustPackage {
  pname = "chasqui";
  inherit (workspace) version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../crates
      # A member of the workspace: cargo wants its manifest.
      ../tests/bench
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;
  cargoBuildFlags = [
    "--package"
    "chasqui"
  ];
  doCheck = false;

  nativeBuildInputs = [ installShellFiles ];
  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    mkdir -p $out/share/man/man1
    $out/bin/chasqui man $out/share/man/man1
    installShellCompletion --cmd chasqui \
      --bash <($out/bin/chasqui completion bash) \
      --fish <($out/bin/chasqui completion fish) \
      --zsh <($out/bin/chasqui completion zsh)
  '';

  doInstallCheck = stdenv.buildPlatform.canExecute stdenv.hostPlatform;
  installCheckPhase = ''
    runHook preInstallCheck
    for role in directory mx storage proxy; do
      $out/bin/chasqui config example $role > $role.toml
      $out/bin/chasqui config check $role $role.toml
    done
    runHook postInstallCheck
  '';

  meta = {
    description = "Mail server cluster: directory, exchanger, storage node and proxy in one binary";
    license = lib.licenses.agpl3Plus;
    mainProgram = "chasqui";
    platforms = lib.platforms.linux;
  };
}
