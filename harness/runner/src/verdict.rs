//! Verdicts.

use serde::{Deserialize, Serialize};

/// Judgement of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every expectation is met.
    Pass,
    /// An expectation is not met.
    Fail,
    /// The guest does not meet a need of the case.
    Skip,
    /// A known deviation showed, as expected.
    Xfail,
    /// A known deviation did not show, so its entry is out of date.
    Xpass,
    /// The kernel complained: WARN, BUG, lockdep, KASAN, a new taint.
    Splat,
    /// The case or the kernel hangs.
    Hang,
    /// The kernel panicked.
    Panic,
    /// The infrastructure failed, so there is no verdict on the kernel.
    Error,
}

impl Verdict {
    /// All verdicts, in the order of reports.
    pub const ALL: [Self; 9] = [
        Self::Pass,
        Self::Fail,
        Self::Skip,
        Self::Xfail,
        Self::Xpass,
        Self::Splat,
        Self::Hang,
        Self::Panic,
        Self::Error,
    ];

    /// Whether a run with this verdict is as expected.
    pub const fn is_expected(self) -> bool {
        matches!(self, Self::Pass | Self::Skip | Self::Xfail)
    }

    /// Whether it is a judgement of the kernel.
    pub const fn ran(self) -> bool {
        !matches!(self, Self::Skip | Self::Error)
    }

    /// Whether the guest cannot be used for another case.
    pub const fn spoils_guest(self) -> bool {
        matches!(self, Self::Splat | Self::Hang | Self::Panic | Self::Error)
    }

    /// Its name in every report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
            Self::Xfail => "XFAIL",
            Self::Xpass => "XPASS",
            Self::Splat => "SPLAT",
            Self::Hang => "HANG",
            Self::Panic => "PANIC",
            Self::Error => "ERROR",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
