//! `cargo xtask full`: tests before a release that take too long for each change.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")
)]

mod error;
mod interrupt;
pub mod kvm;
pub mod options;
pub mod parts;
mod process;

pub use error::FullError;
