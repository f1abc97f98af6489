//! Verdicts, and how they are reached: observed and judged are two types, joined here.

use serde::{Deserialize, Serialize};

/// Judgement of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// Every expectation met.
    Pass,
    /// An expectation not met.
    Fail,
    /// The guest does not meet a need of the case.
    Skip,
    /// A known deviation, as expected.
    Xfail,
    /// A known deviation that did not show: the excuse is stale.
    Xpass,
    /// The kernel complained: WARN, BUG, lockdep, KASAN, a new taint.
    Splat,
    /// The case or the kernel hangs.
    Hang,
    /// The kernel panicked.
    Panic,
    /// Infrastructure: no verdict on the kernel.
    Error,
}

impl Verdict {
    /// All of them, in the order of reports.
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

    /// Whether the guest cannot be trusted any more.
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
