//! Compares what was seen of a case with its known failure. Only what the known failure names is
//! excused, and everything that it names has to be seen.

use std::collections::{BTreeMap, BTreeSet};

use case::{AFTER_THE_STEPS, Compiled, KnownComplaint, Shows, step_names};
use wire::{End, TAINT_BAD_PAGE, TAINT_DIE, TAINT_WARN};

use crate::{
    guest::{CaseEnd, Observation},
    judge::{
        failure::Failure,
        steps::{Steps, broken},
    },
    splat,
};

/// Everything of a case that is not as expected.
#[derive(Debug)]
pub struct Seen {
    /// What was observed in each failing step, by the name of the step.
    steps: BTreeMap<String, BTreeSet<String>>,
    /// Complaints of the kernel with all their lines.
    complaints: Vec<String>,
    /// Findings whose complaint may come in any case, and came in this one.
    anywhere: BTreeSet<String>,
    /// Complaints that the run allows.
    allowed: Vec<String>,
    /// What the case left changed.
    leaves: Vec<String>,
    /// The step in which the process was killed.
    killed_in: Option<String>,
}

impl Seen {
    /// Collects what was seen, without the failures that `excused` says are none of the case.
    /// `explaining` returns the finding whose complaint may come in any case.
    /// Returns `None` if there is no result about the kernel.
    pub fn of(
        compiled: &Compiled,
        observation: &Observation,
        steps: &Steps,
        excused: impl Fn(&Failure) -> bool,
        explaining: impl Fn(&str) -> Option<String>,
    ) -> Option<Self> {
        let CaseEnd::Done { end, changes } = &observation.end else {
            return None;
        };
        if observation
            .outcomes
            .iter()
            .flatten()
            .any(|it| broken(it).is_some())
        {
            return None;
        }
        let killed = match (end, steps) {
            (End::Killed { .. }, _) => true,
            (End::Finished | End::Stopped, Steps::Broken(_)) => return None,
            (End::Finished | End::Stopped, _) => false,
            _ => return None,
        };
        let names = names(compiled);
        let name = |op: usize| {
            names
                .get(op)
                .map_or(AFTER_THE_STEPS, String::as_str)
                .to_owned()
        };
        let ended = || {
            observation
                .outcomes
                .iter()
                .take_while(|it| it.is_some())
                .count()
        };
        let complaints = splat::all(&observation.kmsg);
        let mut anywhere = BTreeSet::new();
        let mut unexplained: Vec<_> = complaints.iter().map(|lines| lines.join("\n")).collect();
        unexplained.retain(|text| {
            let finding = explaining(text);
            let is_explained = finding.is_some();
            anywhere.extend(finding);
            !is_explained
        });
        let mut seen = Self {
            steps: BTreeMap::new(),
            complaints: unexplained,
            anywhere,
            allowed: splat::allowed(&observation.kmsg),
            leaves: left(changes, &complaints, killed),
            killed_in: killed.then(|| name(ended())),
        };
        if let Steps::Failed(failures) = steps {
            for failure in failures.iter().filter(|failure| !excused(failure)) {
                let observed = seen.steps.entry(name(failure.op)).or_default();
                observed.extend(failure.observed.iter().cloned());
            }
        }
        Some(seen)
    }

    /// Returns the finding if its complaint is all that is not as expected.
    pub fn only_anywhere(&self) -> Option<&str> {
        let first = self.anywhere.first().map(String::as_str);
        first.filter(|_| self.is_nothing())
    }

    /// Whether everything is as expected, besides complaints that may come in any case.
    pub fn is_nothing(&self) -> bool {
        let steps = self.steps.is_empty() && self.killed_in.is_none();
        steps && self.complaints.is_empty() && self.leaves.is_empty()
    }

    /// Whether it has a complaint that the known failure does not name.
    pub fn complains_of_more(&self, known: &Shows) -> bool {
        !self.unknown_complaints(known).is_empty()
    }

    /// Returns how this differs from the known failure, in sentences that say how a case would
    /// name what was seen.
    pub fn differs_from(&self, known: &Shows) -> Vec<String> {
        let mut all = self.steps_differ(known);
        let unknown = self.unknown_complaints(known).into_iter();
        all.extend(unknown.map(|text| format!("the kernel also complains:\n{text}")));
        all.extend(self.missing(&known.complaints));
        all.extend(self.leaves_differ(known));
        let killed_in = known.killed_in.as_ref().map(|step| step.text.as_str());
        all.extend(match (killed_in, self.killed_in.as_deref()) {
            (known, seen) if known == seen => None,
            (_, Some(seen)) => Some(format!("the process is killed in `{seen}`")),
            (_, None) => Some("the process is not killed".to_owned()),
        });
        all
    }

    fn steps_differ(&self, known: &Shows) -> Vec<String> {
        let named = known.steps.iter().map(|failing| {
            let observed: BTreeSet<_> = failing.observed.iter().cloned().collect();
            (failing.step.text.clone(), observed)
        });
        let named: BTreeMap<_, _> = named.collect();
        let other = self
            .steps
            .iter()
            .filter(|(step, seen)| named.get(*step) != Some(seen));
        let other = other.map(|(step, seen)| format!("`{step}` shows {}", quoted(seen)));
        let fine = named.keys().filter(|step| !self.steps.contains_key(*step));
        let fine = fine.map(|step| format!("`{step}` is as expected"));
        other.chain(fine).collect()
    }

    fn leaves_differ(&self, known: &Shows) -> Vec<String> {
        let named = |change: &&String| known.leaves.iter().any(|text| change.contains(text));
        let more = self.leaves.iter().filter(|change| !named(change));
        let more = more.map(|change| format!("the case leaves the guest changed: `{change}`"));
        let seen = |text: &&String| self.leaves.iter().any(|change| change.contains(*text));
        let missing = known.leaves.iter().filter(|text| !seen(text));
        let missing = missing.map(|text| format!("the case does not leave `{text}`"));
        more.chain(missing).collect()
    }

    fn missing(&self, known: &[KnownComplaint]) -> Vec<String> {
        let seen = || self.complaints.iter().chain(&self.allowed);
        let missing = known
            .iter()
            .filter(|known| !seen().any(|text| known.is(text)));
        let told = missing.map(|known| format!("the kernel does not complain of {known}"));
        told.collect()
    }

    fn unknown_complaints(&self, known: &Shows) -> Vec<String> {
        let unknown = |text: &&String| !known.complaints.iter().any(|known| known.is(text));
        let shown = |text: &String| splat::shown(&text.lines().collect::<Vec<_>>());
        self.complaints.iter().filter(unknown).map(shown).collect()
    }
}

/// Returns what the case left changed, except the taint that a complaint of the kernel implies.
fn left(changes: &[String], complaints: &[Vec<&str>], killed: bool) -> Vec<String> {
    let mut implied = 0;
    implied |= if complaints.is_empty() { 0 } else { TAINT_WARN };
    let corrupt = complaints
        .iter()
        .flatten()
        .any(|line| line.contains("KASAN:"));
    implied |= if corrupt { TAINT_BAD_PAGE } else { 0 };
    implied |= if killed { TAINT_DIE } else { 0 };
    let more = |change: &&String| match wire::added_taint(change) {
        Some(added) => added & !implied != 0,
        None => true,
    };
    changes.iter().filter(more).cloned().collect()
}

/// Returns the name of the step of each op.
fn names(compiled: &Compiled) -> Vec<String> {
    let checks = compiled.checks.iter();
    step_names(checks.map(|check| (check.step, check.label.clone())))
}

fn quoted(texts: &BTreeSet<String>) -> String {
    let texts: Vec<_> = texts.iter().map(|text| format!("`{text}`")).collect();
    texts.join(" and ")
}
