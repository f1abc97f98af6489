//! Exit codes of all commands.

use std::process::ExitCode;

use vm_images::Blame;

/// How a command ends, documented in `--help`. CI systems give meanings to 4, 5 and 77 (skip, warn),
/// so no command ends with these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Every verdict as expected.
    Ok,
    /// A case failed.
    Failed,
    /// The kernel under test did not build or boot, which is a failure of that kernel.
    Kernel,
    /// Wrong usage or a mistake in a case file.
    Usage,
    /// Nothing selected.
    Nothing,
    /// This host lacks something, or failed: QEMU, a program, disk space, a network.
    Host,
    /// Ctrl-C or SIGTERM.
    Interrupted,
}

impl Exit {
    /// The number of the exit code.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed | Self::Kernel => 1,
            Self::Usage => 2,
            Self::Nothing => 3,
            Self::Host => 70,
            Self::Interrupted => 130,
        }
    }

    /// Returns the exit code of the process. With `bisect` it is one that `git bisect run`
    /// understands: good, bad or cannot be tested.
    pub fn code(self, bisect: bool) -> ExitCode {
        match (self, bisect) {
            (Self::Ok | Self::Failed, _) | (_, false) => ExitCode::from(self.number()),
            (Self::Interrupted, true) => ExitCode::from(255), // ends the bisection
            (_, true) => ExitCode::from(125),
        }
    }
}

impl From<Blame> for Exit {
    fn from(blame: Blame) -> Self {
        match blame {
            Blame::Kernel => Self::Kernel,
            Blame::Usage => Self::Usage,
            Blame::Host => Self::Host,
        }
    }
}
