//! Outputs. Each reads the same stream of events.

mod human;
mod json;
mod ktap;

pub use human::{Detail, Human, folder_of};
pub use json::Json;
pub use ktap::Ktap;
