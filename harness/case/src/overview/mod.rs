//! `cases/OVERVIEW.md`: every ioctl with every errno, and the cases that prove it.

mod documented;
mod proof;
mod text;

pub use text::overview;
