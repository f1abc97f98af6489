//! `cargo xtask full`: what is proved before a release and takes too long for each change.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")
)]

mod error;
pub mod kvm;
pub mod options;

pub use error::FullError;
