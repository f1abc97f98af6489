//! What is run on which mutants.

use std::path::PathBuf;

use runner::options::MachineOptions;

/// By default the run of a mutant ends after this many cases that killed it.
pub const MANY: usize = 20;

/// Mutants, the cases that are run on them, and the machine.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Ids of mutants, or parts of an id, of an area, of a file or of a function. None: all.
    pub filters: Vec<String>,
    /// When the run of a mutant ends.
    pub until: Until,
    /// Build one kernel with all mutants, which is told at boot which one to be.
    pub together: bool,
    /// Go on after a mutant that does not fit the source, or does not build without a warning.
    pub keep_going: bool,
    /// Run only this many cases on each mutant: the likeliest to kill it.
    pub likely: Option<usize>,
    /// Only these cases, as run-conformance takes them. None: all.
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
    /// Most simple mutants that are made for each function.
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
