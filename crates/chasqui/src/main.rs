//! The `chasqui` binary.
fn main() {}
