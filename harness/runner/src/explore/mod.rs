//! `cargo xtask explore`: the model's worlds, walked on a real kernel.

mod cli;
pub mod picture;
mod plan;
mod script;

pub use cli::{ExploreOptions, main};
pub use plan::{Plan, Walked, scripts, take_records, write};
pub use script::{Script, Seen, script};
