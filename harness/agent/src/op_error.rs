//! Why an op has no ordinary result.

use std::io;

use nix::errno::Errno;
use wire::Observed;

use crate::{guard::Raised, page_faults::Uncountable};

/// Why an op has no ordinary result.
pub enum OpError {
    Missing(String),
    Failed(io::Error),
    Observed(Observed),
}

impl From<io::Error> for OpError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for OpError {
    fn from(errno: Errno) -> Self {
        Self::Failed(errno.into())
    }
}

impl From<Raised> for OpError {
    fn from(Raised(signal): Raised) -> Self {
        Self::Observed(Observed::Signal(signal))
    }
}

impl From<Uncountable> for OpError {
    fn from(why: Uncountable) -> Self {
        match why {
            Uncountable::Raised(raised) => raised.into(),
            Uncountable::Uncounted(errno) => {
                let why = format!("counting the faults of the process: {errno}");
                Self::Observed(Observed::Broken { why })
            }
        }
    }
}

impl From<OpError> for Observed {
    fn from(error: OpError) -> Self {
        match error {
            OpError::Observed(observed) => observed,
            OpError::Missing(missing) => Self::NotRun { missing },
            OpError::Failed(error) => failure(&error),
        }
    }
}

/// The result of an op, and the data that it read.
pub type Done = Result<(u64, Vec<u8>), OpError>;

/// Success without data.
pub fn ok(ret: u64) -> Done {
    Ok((ret, Vec::new()))
}

/// Converts the error of a call to an observation.
fn failure(error: &io::Error) -> Observed {
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

/// Returns an error that is not a verdict on the kernel.
pub fn broken(error: &io::Error) -> OpError {
    OpError::Observed(Observed::Broken {
        why: error.to_string(),
    })
}
