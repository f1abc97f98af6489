//! `cargo xtask full`: tests before a release that take too long for each change.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")
)]

mod error;
pub mod kvm;
pub mod options;

pub use error::FullError;
