//! The results of a run of mutants, as text and as `mutants.json`.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::Serialize;

use crate::{
    mechanical,
    mutant::Mutant,
    outcome::{Killer, MutantOutcome},
};

/// One mutant and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Judged {
    /// Its name.
    pub id: String,
    /// Its area.
    pub area: String,
    /// The file.
    pub file: String,
    /// The function.
    pub function: String,
    /// The rule that it breaks.
    pub rule: String,
    /// Why no case can kill it, according to the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub survives: Option<String>,
    /// The change that mended it in Linux, if it is a mistake that Linux had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Its outcome.
    #[serde(flatten)]
    pub outcome: MutantOutcome,
    /// Wall time in milliseconds, including the build.
    pub ms: u64,
}

/// The contents of `mutants.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Start time in UTC.
    pub started: String,
    /// `uname -r` of the unchanged kernel.
    pub kernel: String,
    pub platform: String,
    /// The accelerator, with the reason if it is not KVM.
    pub accel: String,
    /// Number of cases in the run.
    pub cases: usize,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Cases that never or only sometimes pass on the unchanged kernel.
    pub failing: Vec<String>,
    /// Mutants in the order of the run.
    pub mutants: Vec<Judged>,
}

impl Judged {
    /// Combines a mutant and its outcome.
    pub fn new(mutant: &Mutant, outcome: MutantOutcome, ms: u64) -> Self {
        Self {
            id: mutant.id.clone(),
            area: mutant.area.clone(),
            file: mutant.file.clone(),
            function: mutant.function.clone(),
            rule: mutant.rule.clone(),
            survives: mutant.survives.clone(),
            source: mutant.source.clone(),
            outcome,
            ms,
        }
    }

    /// Whether the outcome is expected: either it was killed or it is known to survive. A generated
    /// mutant may also be unfit.
    pub fn is_expected(&self) -> bool {
        match self.outcome {
            MutantOutcome::Killed { .. } => self.survives.is_none(),
            MutantOutcome::Survived => self.survives.is_some(),
            MutantOutcome::Unfit { .. } => self.area == mechanical::AREA,
        }
    }

    fn is_killed(&self) -> bool {
        matches!(self.outcome, MutantOutcome::Killed { .. })
    }

    /// Returns its line in the output.
    pub fn line(&self) -> String {
        format!("{:<28} {}", self.id, self.outcome)
    }
}

impl Report {
    /// Whether every mutant was killed or is known to survive.
    pub fn as_expected(&self) -> bool {
        self.mutants.iter().all(Judged::is_expected)
    }

    /// Returns which cases killed which mutant, for the order of the next run.
    pub fn killers(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.mutants
            .iter()
            .filter_map(|judged| match &judged.outcome {
                MutantOutcome::Killed { by, .. } => {
                    let named = |killer: &Killer| killer.verdict.is_some();
                    let cases = by.iter().filter(|k| named(k)).map(|k| k.case.as_str());
                    Some((judged.id.as_str(), cases.collect()))
                }
                _ => None,
            })
    }

    /// Returns the end of the output: killed mutants by area, then the survivors.
    pub fn summary(&self) -> String {
        let mut areas: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for judged in &self.mutants {
            let (killed, total) = areas.entry(&judged.area).or_default();
            *killed += usize::from(judged.is_killed());
            *total += 1;
        }
        let mut text = String::from("\n");
        for (area, (killed, total)) in &areas {
            let _ = writeln!(text, "{area:<28} {killed:>3} of {total:>3} killed");
        }
        let killed = self
            .mutants
            .iter()
            .filter(|judged| judged.is_killed())
            .count();
        let total = self.mutants.len();
        let percent = (killed * 100).checked_div(total).unwrap_or(0);
        let _ = writeln!(
            text,
            "{:<28} {killed:>3} of {total:>3} killed, {percent} %",
            "all"
        );
        self.survivors(&mut text);
        for judged in self
            .mutants
            .iter()
            .filter(|j| j.is_killed() && !j.is_expected())
        {
            let _ = writeln!(
                text,
                "{} was killed, but the list says that it survives; delete `survives` from its \
                 entry",
                judged.id
            );
        }
        for case in &self.failing {
            let _ = writeln!(
                text,
                "does not count, because it also fails on the unchanged kernel: {case}"
            );
        }
        text
    }

    fn survivors(&self, text: &mut String) {
        let left: Vec<_> = self
            .mutants
            .iter()
            .filter(|j| j.outcome == MutantOutcome::Survived)
            .collect();
        if left.is_empty() {
            return;
        }
        text.push_str("\nsurvived; each needs a new case:\n");
        for judged in left {
            let _ = writeln!(text, "  {:<26} {}", judged.id, judged.rule);
            let _ = writeln!(text, "  {:<26} {} in {}", "", judged.function, judged.file);
            if let Some(why) = &judged.survives {
                let _ = writeln!(text, "  {:<26} known: {why}", "");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use runner::verdict::Verdict;

    fn judged(id: &str, area: &str, survives: Option<&str>, outcome: MutantOutcome) -> Judged {
        Judged {
            id: id.into(),
            area: area.into(),
            file: "drivers/vfio/group.c".into(),
            function: "vfio_group_fops_open".into(),
            rule: "A group is opened once".into(),
            survives: survives.map(str::to_owned),
            source: None,
            outcome,
            ms: 0,
        }
    }

    fn killed(verdict: Option<Verdict>) -> MutantOutcome {
        let killer = |case: &str| Killer {
            after: Vec::new(),
            case: case.into(),
            verdict,
            reason: None,
        };
        MutantOutcome::Killed {
            by: vec![killer("a/b"), killer("a/c")],
            cut_short: verdict.is_none(),
        }
    }

    fn report() -> Report {
        let why = Some("it cannot be seen");
        Report {
            mutants: vec![
                judged("one", "ownership", None, killed(Some(Verdict::Fail))),
                judged("two", "ownership", None, killed(Some(Verdict::Splat))),
                judged("three", "legacy", None, killed(None)),
                judged("four", "legacy", None, MutantOutcome::Survived),
                judged("five", "legacy", why, MutantOutcome::Survived),
                judged("six", "legacy", why, killed(Some(Verdict::Fail))),
                judged(
                    "seven",
                    "legacy",
                    None,
                    MutantOutcome::Unfit {
                        why: "it warns".into(),
                    },
                ),
            ],
            failing: vec!["x/y".into()],
            ..Report::default()
        }
    }

    #[test]
    fn says_what_became_of_them() {
        let report = report();
        let lines: Vec<_> = report.mutants.iter().map(Judged::line).collect();
        insta::assert_snapshot!(format!("{}\n{}", lines.join("\n"), report.summary()));
    }

    #[test]
    fn expected_is_killed_or_known() {
        let expected: Vec<_> = report().mutants.iter().map(Judged::is_expected).collect();
        assert_eq!(expected, [true, true, true, false, true, false, false]);
    }

    #[test]
    fn one_that_does_not_build_is_a_mistake_of_the_list_only() {
        let mut judged = report().mutants.pop().unwrap();
        assert!(matches!(judged.outcome, MutantOutcome::Unfit { .. }) && !judged.is_expected());
        mechanical::AREA.clone_into(&mut judged.area);
        assert!(judged.is_expected());
    }

    #[test]
    fn the_boot_is_no_case() {
        assert_eq!(report().killers().nth(2), Some(("three", vec![])));
    }
}
