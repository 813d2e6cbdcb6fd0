//! The site file and what is derived from it before NixOS builds anything (E18).
//!
//! - [`site`]: the model of `site.toml`, which `modules/lib` reads too, and its checks.

pub mod site;
