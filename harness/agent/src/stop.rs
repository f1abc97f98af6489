//! Why an op has no ordinary result.

use std::io;

use nix::errno::Errno;
use wire::Observed;

use crate::{guard::Raised, touch::Untouched};

/// Why an op has no ordinary result.
pub enum Stop {
    Missing(String),
    Failed(io::Error),
    Observed(Observed),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno.into())
    }
}

impl From<Raised> for Stop {
    fn from(Raised(signal): Raised) -> Self {
        Self::Observed(Observed::Signal(signal))
    }
}

impl From<Untouched> for Stop {
    fn from(why: Untouched) -> Self {
        match why {
            Untouched::Raised(raised) => raised.into(),
            Untouched::Uncounted(errno) => {
                let why = format!("counting the faults of the process: {errno}");
                Self::Observed(Observed::Broken { why })
            }
        }
    }
}

/// The result of an op, and what it read.
pub type Done = Result<(u64, Vec<u8>), Stop>;

/// A success that read nothing.
pub fn ok(ret: u64) -> Done {
    Ok((ret, Vec::new()))
}

/// What an error of a call is to whoever observes it.
pub fn failure(error: &io::Error) -> Observed {
    match error.raw_os_error() {
        Some(errno) => Observed::Errno {
            errno,
            data: Vec::new(),
        },
        None => Observed::Broken {
            why: error.to_string(),
        },
    }
}

/// What is no verdict on the kernel.
pub fn broken(error: &io::Error) -> Stop {
    Stop::Observed(Observed::Broken {
        why: error.to_string(),
    })
}
