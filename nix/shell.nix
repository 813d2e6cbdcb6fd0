# What is needed to work on Chasqui.
{
  mkShell,
  cargo,
  cargo-deny,
  cargo-nextest,
  clippy,
  deadnix,
  nixfmt,
  python3,
  rustc,
  rustfmt,
}:
mkShell {
  packages = [
    cargo
    cargo-deny
    cargo-nextest
    clippy
    deadnix
    nixfmt
    python3
    rustc
    rustfmt
  ];
}
