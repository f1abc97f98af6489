//! From options to an exit code.

use std::process::ExitCode;

use runner::exit::Exit;

use crate::{
    FullError, kvm,
    options::{FullOptions, Part},
};

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &FullOptions) -> ExitCode {
    let exit = prove(&options.parts()).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}

/// Every part, also after one in which something differs.
fn prove(parts: &[Part]) -> Result<Exit, FullError> {
    let mut worst = Exit::Ok;
    for part in parts {
        let Part::Kvm(options) = part;
        let exit = kvm::prove(options)?;
        if exit != Exit::Ok {
            worst = exit;
        }
    }
    Ok(worst)
}
