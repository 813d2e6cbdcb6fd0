//! The site file: who runs where (promise 3 of the design: the site file is the truth).

mod model;
mod schema;

pub use model::*;
pub use schema::{schema, schema_text};
