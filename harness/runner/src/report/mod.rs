//! Outputs: each a reader of the one event stream.

mod human;
mod json;
mod ktap;

pub use human::{Human, shown as human_summary};
pub use json::Json;
pub use ktap::Ktap;
