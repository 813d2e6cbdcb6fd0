//! The site file: who runs where (promise 3 of the design: the site file is the truth).
//!
//! [`load`] gives a [`Site`] in which every name stands for something, or all that is wrong with the file.

mod check;
mod diff;
mod finding;
mod fleet;
mod load;
mod model;
mod page;
mod question;
mod reference;
#[cfg(test)]
mod samples;
mod schema;
mod shape;
mod show;
mod svg;
mod walk;

pub use check::check;
pub use diff::{Action, Difference, HostChange, Interruption, KeyChange, Phase, Topic, Wave, diff};
pub use finding::{Finding, Severity};
pub use load::{Document, SiteError, load, open, parse};
pub use model::*;
pub use page::reference_page;
pub use schema::{schema, schema_text};
pub use show::{ArrayRow, HostRow, MachineRow, NetworkRow, Overview, PublishedRow, VolumeRow};
pub(crate) use svg::escaped;
pub use svg::picture;
pub use walk::Lines;
