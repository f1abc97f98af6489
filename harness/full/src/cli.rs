//! From options to an exit code.

use std::process::ExitCode;

use crate::{
    kvm,
    options::{FullOptions, Part},
};

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &FullOptions) -> ExitCode {
    let Part::Kvm(options) = &options.part;
    let exit = kvm::prove(options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}
