//! The outcome of a mutant.

use std::fmt;

use runner::verdict::Verdict;
use serde::Serialize;

/// A case that killed a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Killer {
    /// Its id.
    pub case: String,
    /// Cases that have to run before it in the same guest, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Its verdict on the mutant; `None` if the guest did not boot.
    pub verdict: Option<Verdict>,
    pub reason: Option<String>,
}

/// The outcome of a mutant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum MutantOutcome {
    /// Cases that pass on the unchanged kernel do not pass on it.
    Killed {
        /// The cases, in the order of the run.
        by: Vec<Killer>,
        /// Whether the run ended before every case had run.
        cut_short: bool,
    },
    /// Every case that passes on the unchanged kernel passes on it.
    Survived,
    /// It could not be built, or does not change the kernel: a mistake in the list.
    Unfit {
        /// The reason.
        why: String,
    },
}

impl fmt::Display for MutantOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Survived => f.write_str("SURVIVED"),
            Self::Unfit { why } => write!(f, "UNFIT: {why}"),
            Self::Killed { by, cut_short } => {
                let plural = if by.len() == 1 { "case" } else { "cases" };
                let least = if *cut_short { "at least " } else { "" };
                write!(f, "killed by {least}{} {plural}: ", by.len())?;
                let names: Vec<_> = by.iter().map(Killer::to_string).collect();
                f.write_str(&names.join(", "))
            }
        }
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            None => write!(f, "{} (no boot)", self.case),
            Some(Verdict::Fail | Verdict::Xpass) => f.write_str(&self.case),
            Some(verdict) => write!(f, "{} ({verdict})", self.case),
        }?;
        match self.after.len() {
            0 => Ok(()),
            before => write!(f, " after {before} others"),
        }
    }
}
