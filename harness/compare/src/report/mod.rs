//! The comparison as text.

mod human;
mod markdown;
mod words;

pub use human::human;
pub use markdown::markdown;
