//! `cargo xtask reference`: the steps of the case language.

use std::{io::Write, process::ExitCode};

use case::UnknownStep;
use clap::Args;
use runner::{exit::Exit, output::Output};

use crate::commands::generate;

/// Options of `reference`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReferenceOptions {
    /// Show this step or ioctl. Default: write cases/REFERENCE.md.
    #[arg(value_name = "NAME")]
    pub step: Option<String>,

    /// List the steps and ioctls.
    #[arg(long, conflicts_with = "step")]
    pub list: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask reference                   write cases/REFERENCE.md
  cargo xtask reference --list            every step in one line, and the ioctls
  cargo xtask reference dma               one step
  cargo xtask reference IOMMU_IOAS_MAP    the fields of one ioctl

Exit codes:
  0  shown or written
  1  the file could not be written
  3  unknown step
  70  standard output could not be written";

/// Runs the command, and prints an error to standard error.
pub fn main(options: &ReferenceOptions) -> ExitCode {
    let text = match &options.step {
        Some(name) => case::describe_step(name),
        None if options.list => Ok(case::list_steps()),
        None => return generate::reference(),
    };
    print(text).code(false)
}

fn print(text: Result<String, UnknownStep>) -> Exit {
    let text = match text {
        Ok(text) => text,
        Err(error) => {
            eprintln!("error: {error}");
            return Exit::Nothing;
        }
    };
    match Output::stdout().write_all(text.as_bytes()) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("error: writing to standard output: {error}");
            Exit::Host
        }
    }
}
