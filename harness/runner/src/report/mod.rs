//! Outputs: each a reader of the one event stream.

mod human;
mod json;
mod ktap;

pub use human::{Detail, Human, folder_of};
pub use json::Json;
pub use ktap::Ktap;
