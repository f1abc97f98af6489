//! Exit codes of all commands.

use std::process::ExitCode;

/// The exit codes documented in `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every verdict as expected.
    Ok = 0,
    /// A case failed.
    Failed = 1,
    /// Wrong usage or a mistake in a case file.
    Usage = 2,
    /// Nothing selected.
    Nothing = 3,
    /// The machine could not be built or booted.
    NoMachine = 4,
    Interrupted = 130,
}

impl Exit {
    /// Returns the exit code of the process. With `bisect` it is one that `git bisect run`
    /// understands: good, bad or cannot be tested.
    pub fn code(self, bisect: bool) -> ExitCode {
        match (self, bisect) {
            (Self::Ok | Self::Failed, _) | (_, false) => ExitCode::from(self as u8),
            (Self::Interrupted, true) => ExitCode::from(255), // ends the bisection
            (_, true) => ExitCode::from(125),
        }
    }
}
