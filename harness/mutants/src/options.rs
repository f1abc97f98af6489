//! Options: mutants, and the cases to run on them.

use std::path::PathBuf;

use runner::options::MachineOptions;

/// By default, the run of a mutant ends after this many cases that killed it.
pub const MANY: usize = 20;

/// Mutants, the cases that are run on them, and the machine.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ids of mutants, or parts of an id, of an area, of a file or of a function, or what one
    /// needs. If empty, all.
    pub filters: Vec<String>,
    /// When the run of a mutant ends.
    pub until: Until,
    /// Build one kernel with all mutants, and select one at boot.
    pub together: bool,
    /// Continue after a mutant that does not apply to the source or does not build without
    /// warnings.
    pub keep_going: bool,
    /// Run only this many cases on each mutant: the likeliest to kill it.
    pub likely: Option<usize>,
    /// Run only these cases: the filters of run-conformance. If empty, all.
    pub cases: Vec<String>,
    /// Only mutants in functions that a patch changes.
    pub changed: Option<Changed>,
    /// The machine.
    pub machine: MachineOptions,
}

/// When the run of a mutant ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Until {
    /// After one case that killed it.
    FirstKill,
    /// After [`MANY`] cases that killed it.
    #[default]
    ManyKills,
    /// After all cases.
    TheEnd,
}

/// A patch, as the difference of a tree from a revision.
#[derive(Debug, Clone)]
pub struct Changed {
    /// The tree.
    pub tree: PathBuf,
    /// The revision.
    pub revision: String,
    /// Maximum number of simple mutants to generate for each function.
    pub per_function: usize,
}

impl Until {
    /// The run of a mutant ends after this many cases that killed it.
    pub fn kills(self) -> usize {
        match self {
            Self::FirstKill => 1,
            Self::ManyKills => MANY,
            Self::TheEnd => usize::MAX,
        }
    }
}
