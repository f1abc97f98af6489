//! `--suite`: another suite to compare with.

use std::path::Path;

use clap::Args;
use runner::{
    exit::Exit,
    kselftest::{self, KselftestError},
};

/// The suite to compare with.
#[derive(Debug, Clone, Args)]
pub struct SuiteOptions {
    /// Also build and run the kernel's own tests from a source tree, in the same kind of guest.
    /// The only NAME is `kselftest`.
    #[arg(long, num_args = 2, value_names = ["NAME", "TREE"])]
    pub suite: Vec<String>,
}

/// Why the suite cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    #[error("unknown suite `{0}`; the only one is kselftest")]
    Unknown(String),
    #[error(transparent)]
    Kselftest(#[from] KselftestError),
}

impl SuiteError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Unknown(_) => Exit::Usage,
            Self::Kselftest(error) => error.exit(),
        }
    }
}

impl SuiteOptions {
    /// Returns the source tree given with --suite, after checking that it has the kernel's own
    /// tests.
    pub fn kselftest(&self) -> Result<Option<&Path>, SuiteError> {
        match self.suite.as_slice() {
            [name, tree] if name == "kselftest" => {
                let tree = Path::new(tree);
                kselftest::check(tree)?;
                Ok(Some(tree))
            }
            [name, ..] => Err(SuiteError::Unknown(name.clone())),
            [] => Ok(None),
        }
    }
}
