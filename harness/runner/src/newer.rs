//! What a kernel does that is newer than the reference of the expectations and snapshots: what it
//! mends and what it changes is no failure.

use serde::{Deserialize, Serialize};
use uapi::Series;

use crate::{judge::Judgement, snapshot::REFERENCE_SERIES, verdict::Verdict};

/// What a verdict that would be a failure on the reference says of a newer kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Newer {
    /// A known deviation did not show.
    Improvement,
    /// All expectations are met, and the transcript differs from the snapshot.
    Change,
}

impl Newer {
    /// What a judgement says of the kernel of a release, if that is a later one than the reference.
    pub fn of(judgement: &Judgement, release: &str) -> Option<Self> {
        let series = Series::of_release(release);
        if series.is_none_or(|series| series <= REFERENCE_SERIES) {
            return None;
        }
        match judgement.verdict {
            Verdict::Xpass => Some(Self::Improvement),
            Verdict::Fail if judgement.only_transcript => Some(Self::Change),
            _ => None,
        }
    }

    /// Its name in every report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Improvement => "improvement",
            Self::Change => "change",
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::reference_mends("7.3.4", Verdict::Xpass, false, None)]
    #[case::older_mends("6.12.95-1", Verdict::Xpass, false, None)]
    #[case::newer_mends("7.4.0-rc1+", Verdict::Xpass, false, Some(Newer::Improvement))]
    #[case::newer_changes("7.10.0", Verdict::Fail, true, Some(Newer::Change))]
    #[case::reference_changes("7.3.4", Verdict::Fail, true, None)]
    #[case::newer_fails("7.4.0", Verdict::Fail, false, None)]
    #[case::newer_complains("7.4.0", Verdict::Splat, false, None)]
    #[case::newer_passes("7.4.0", Verdict::Pass, false, None)]
    #[case::no_release("next", Verdict::Xpass, false, None)]
    fn only_a_newer_kernel_may_differ(
        #[case] release: &str,
        #[case] verdict: Verdict,
        #[case] only_transcript: bool,
        #[case] want: Option<Newer>,
    ) {
        let judgement = Judgement {
            verdict,
            reason: Some("why".to_owned()),
            as_planned: Vec::new(),
            failed_step: None,
            only_transcript,
        };
        assert_eq!(Newer::of(&judgement, release), want);
    }
}
