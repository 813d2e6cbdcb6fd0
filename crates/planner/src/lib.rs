//! The site file and what is derived from it before NixOS builds anything (E18).
//!
//! - [`demand`]: what the site must carry; [`capacity`]: what that needs.
//! - [`place`]: on which machines, guests and drives, and the site file that says so.
//! - [`site`]: the model of `site.toml`, which `modules/lib` reads too, and its checks.

pub mod capacity;
pub mod demand;
pub mod place;
pub mod simulate;
pub mod site;
