//! Named parts of `cargo xtask full`: commands of this program that run one after another.

mod alike;
mod command;
mod load;
mod plan;
mod state;
mod table;

pub use command::{PartsOptions, run};
pub use table::{Part, table};
