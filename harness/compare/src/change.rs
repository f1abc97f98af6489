//! What differs in one case.

use runner::{record::Record, verdict::Verdict};
use serde::{Deserialize, Serialize};

use crate::step::{Step, pairs, steps, what};

/// A case that two kernels do not treat alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Id of the case, or of a record about the machine.
    pub case: String,
    /// The rule it proves.
    pub summary: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clauses: Vec<String>,
    pub kind: Kind,
    /// Its verdict on the base; none if it did not run there.
    pub base: Option<Judged>,
    /// The same on the head.
    pub head: Option<Judged>,
    /// The steps that showed something else.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepChange>,
}

/// How a case changed. The order is that of the reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was as expected, and is a failure now.
    Broken,
    /// It was a failure, and is as expected now.
    Mended,
    /// It fails in another way, or another of the expected verdicts holds.
    Verdict,
    /// A call ends in another way, or DMA goes elsewhere.
    End,
    /// A call returns something else.
    Fields,
    /// It is judged on the head only: the base lacks what it needs.
    Came,
    /// It is judged on the base only.
    Went,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::Broken,
        Self::Mended,
        Self::Verdict,
        Self::End,
        Self::Fields,
        Self::Came,
        Self::Went,
    ];

    /// The heading of such changes.
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Broken => "Broken",
            Self::Mended => "Mended",
            Self::Verdict => "Other verdicts",
            Self::End => "Other ends of calls and of DMA",
            Self::Fields => "Other returned values",
            Self::Came => "Judged on the head only",
            Self::Went => "Judged on the base only",
        }
    }
}

/// The verdict on one side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    pub verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The kernel's log, where the verdict is not as expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// A step that showed something else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepChange {
    /// Its number, and what it does.
    pub step: String,
    /// What the base showed; none if the step did not run there.
    pub base: Option<String>,
    pub head: Option<String>,
    /// Whether it ended in another way.
    pub end: bool,
    /// How it ended on both sides, if it did.
    #[serde(skip)]
    pub ends: Option<(String, String)>,
}

impl Change {
    /// Compares the records of a case. Returns `None` if they are alike.
    pub fn between(base: Option<&Record>, head: Option<&Record>) -> Option<Self> {
        let one = base.or(head)?;
        let steps = match (base, head) {
            (Some(base), Some(head)) if base.verdict.ran() && head.verdict.ran() => {
                step_changes(&base.transcript, &head.transcript)
            }
            _ => Vec::new(),
        };
        Some(Self {
            case: one.id.clone(),
            summary: one.summary.clone(),
            clauses: one.clauses.clone(),
            kind: kind(base, head, &steps)?,
            base: base.map(judged),
            head: head.map(judged),
            steps,
        })
    }
}

impl Change {
    /// Whether both sides judged the case.
    pub const fn is_of_both(&self) -> bool {
        !matches!(self.kind, Kind::Came | Kind::Went)
    }
}

impl StepChange {
    /// What the step does: the ioctl, or the kind of step.
    pub fn what(&self) -> &str {
        what(&self.step)
    }
}

fn judged(record: &Record) -> Judged {
    Judged {
        verdict: record.verdict,
        reason: record.reason.clone(),
        log: record.kmsg.clone(),
    }
}

/// Whether the verdict is no failure of the kernel. A known deviation that does not show is none.
fn is_good(record: &Record) -> bool {
    record.verdict.is_expected() || record.verdict == Verdict::Xpass
}

fn kind(base: Option<&Record>, head: Option<&Record>, steps: &[StepChange]) -> Option<Kind> {
    let ran = |record: &&Record| record.verdict.ran();
    let (base, head) = match (base.filter(ran), head.filter(ran)) {
        (Some(base), Some(head)) => (base, head),
        (Some(_), None) => return Some(Kind::Went),
        (None, Some(_)) => return Some(Kind::Came),
        (None, None) => return None,
    };
    match (is_good(base), is_good(head)) {
        (true, false) => return Some(Kind::Broken),
        (false, true) => return Some(Kind::Mended),
        _ if base.verdict == Verdict::Xfail && head.verdict == Verdict::Xpass => {
            return Some(Kind::Mended);
        }
        _ if base.verdict != head.verdict || base.failed_step != head.failed_step => {
            return Some(Kind::Verdict);
        }
        _ => {}
    }
    match steps {
        [] => None,
        steps if steps.iter().any(|step| step.end) => Some(Kind::End),
        _ => Some(Kind::Fields),
    }
}

fn step_changes(base: &str, head: &str) -> Vec<StepChange> {
    let paired = pairs(&steps(base), &steps(head));
    let differ = paired.into_iter().filter(|(base, head)| base != head);
    differ.map(|(base, head)| step_change(base, head)).collect()
}

fn step_change(base: Option<Step<'_>>, head: Option<Step<'_>>) -> StepChange {
    let label = base.as_ref().or(head.as_ref()).map(|step| step.label);
    let ends = base
        .as_ref()
        .zip(head.as_ref())
        .filter(|(base, head)| base.was_executed() && head.was_executed())
        .map(|(base, head)| (base.end().to_owned(), head.end().to_owned()))
        .filter(|(base, head)| base != head);
    StepChange {
        step: label.unwrap_or_default().to_owned(),
        end: ends.is_some() || !was_executed(base.as_ref()) || !was_executed(head.as_ref()),
        ends,
        base: base.map(|step| step.seen),
        head: head.map(|step| step.seen),
    }
}

fn was_executed(step: Option<&Step<'_>>) -> bool {
    step.is_some_and(Step::was_executed)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn record(verdict: Verdict, transcript: &str) -> Record {
        Record {
            verdict,
            transcript: transcript.to_owned(),
            ..Record::of_machine("a/case", "intel", "a rule")
        }
    }

    #[rstest]
    #[case::alike(Verdict::Pass, "1 a: success", Verdict::Pass, "1 a: success", None)]
    #[case::broken(Verdict::Xfail, "", Verdict::Fail, "", Some(Kind::Broken))]
    #[case::mended(Verdict::Splat, "", Verdict::Pass, "", Some(Kind::Mended))]
    #[case::deviates_no_more(Verdict::Xfail, "", Verdict::Xpass, "", Some(Kind::Mended))]
    #[case::deviates(Verdict::Pass, "", Verdict::Xfail, "", Some(Kind::Verdict))]
    #[case::hangs(Verdict::Fail, "", Verdict::Hang, "", Some(Kind::Verdict))]
    #[case::errno(
        Verdict::Pass,
        "1 a: EINVAL",
        Verdict::Pass,
        "1 a: EBUSY",
        Some(Kind::End)
    )]
    #[case::dma(
        Verdict::Pass,
        "1 DMA: DMA lands",
        Verdict::Pass,
        "1 DMA: refused",
        Some(Kind::End)
    )]
    #[case::not_reached(
        Verdict::Pass,
        "1 a: success",
        Verdict::Pass,
        "1 a: not run: nothing was saved",
        Some(Kind::End)
    )]
    #[case::other_device(
        Verdict::Pass,
        "1 DMA: lands, signed x-0",
        Verdict::Pass,
        "1 DMA: lands, signed x-1",
        Some(Kind::Fields)
    )]
    #[case::step(Verdict::Pass, "1 a: success", Verdict::Pass, "", Some(Kind::End))]
    #[case::field(
        Verdict::Pass,
        "1 a: success {x: 1}",
        Verdict::Pass,
        "1 a: success {x: 2}",
        Some(Kind::Fields)
    )]
    #[case::came(Verdict::Skip, "", Verdict::Pass, "1 a: success", Some(Kind::Came))]
    #[case::went(Verdict::Fail, "", Verdict::Skip, "", Some(Kind::Went))]
    #[case::neither(Verdict::Skip, "", Verdict::Skip, "", None)]
    fn a_change_has_a_kind(
        #[case] base: Verdict,
        #[case] before: &str,
        #[case] head: Verdict,
        #[case] after: &str,
        #[case] want: Option<Kind>,
    ) {
        let change = Change::between(Some(&record(base, before)), Some(&record(head, after)));
        assert_eq!(change.map(|it| it.kind), want);
    }

    #[test]
    fn a_case_that_ran_on_one_side_is_told() {
        let one = record(Verdict::Pass, "");
        let kind = |base, head| Change::between(base, head).map(|it| it.kind);
        assert_eq!(kind(Some(&one), None), Some(Kind::Went));
        assert_eq!(kind(None, Some(&one)), Some(Kind::Came));
        assert_eq!(kind(None, None), None);
    }
}
