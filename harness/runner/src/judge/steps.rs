//! Compares the outcome of each op with its expectation, once and in order.

use case::{Check, Compiled, Parts, Sources};
use wire::{FileOp, Observed, Op, Outcome};

use crate::judge::{
    comparison::{Mismatch, compare, ends_as},
    injected, mock_device, race,
    values::Values,
};

/// Result of the steps of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steps {
    /// Every step is as expected.
    AsExpected,
    /// Every step in which Linux is known to deviate is as the plan of 2021 demands, and every other
    /// one is as expected.
    AsPlanned,
    /// Steps failed.
    Failed(Failures),
    /// The agent failed, so there is no result about the kernel.
    Broken(String),
}

/// Every failure of a case, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failures {
    /// The first one, which later ones may follow from.
    pub first: Failure,
    /// The others, in order.
    pub later: Vec<Failure>,
}

impl Failures {
    /// Returns all of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        std::iter::once(&self.first).chain(&self.later)
    }
}

/// An op that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What was expected and observed, and the location of the step.
    pub why: String,
    /// The op, from 0.
    pub op: usize,
    /// The step, from 0.
    pub step: usize,
    /// Everything that was not as expected, in words that are the same in every run and build.
    pub observed: Vec<String>,
    /// What a platform may be known not to do.
    pub lacking: Option<Lacking>,
}

/// What a kernel does where Linux deviates from the plan of 2021. It does one of them in all steps:
/// a kernel that moves a group and then refuses to has done half of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Today,
    Planned,
}

impl Side {
    /// Returns what the end of an op shows, if the plan demands another one than is expected.
    fn of(check: &Check, outcome: &Outcome) -> Option<Self> {
        let plan = check.plan.as_ref()?;
        match (ends_as(plan, outcome), ends_as(&check.expect.end, outcome)) {
            (true, false) => Some(Self::Planned),
            (false, true) => Some(Self::Today),
            _ => None,
        }
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Today => "as Linux does today",
            Self::Planned => "as the plan of 2021 demands",
        })
    }
}

/// What a failed step shows a platform not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// DMA does not land.
    Landing,
    /// A device of the mock is not made. What follows depends on it.
    MockDevice,
}

impl Steps {
    /// Judges the steps of a case that has ended.
    pub fn of(compiled: &Compiled, outcomes: &[Option<Outcome>], sources: &Sources) -> Self {
        let mut judge = StepJudge::new(compiled, sources);
        for (index, outcome) in outcomes.iter().enumerate() {
            if let Some(outcome) = outcome {
                judge.take(index, outcome);
            }
        }
        judge.finish()
    }
}

/// Compares outcomes as they arrive.
#[derive(Debug)]
pub struct StepJudge<'a> {
    compiled: &'a Compiled,
    sources: &'a Sources,
    values: Values,
    /// The op whose outcome comes next.
    next: usize,
    failures: Vec<Failure>,
    /// The way in which the last race ended; `None` if there was none, or it ended in no way in
    /// which it may.
    way: Option<usize>,
    /// What the kernel does where Linux deviates from the plan, and the step that showed it first.
    side: Option<(Side, String)>,
    /// How the agent failed, if it did; later outcomes are ignored.
    broken: Option<String>,
}

impl<'a> StepJudge<'a> {
    /// Returns a judge for a case that begins.
    pub fn new(compiled: &'a Compiled, sources: &'a Sources) -> Self {
        Self {
            compiled,
            sources,
            values: Values::default(),
            next: 0,
            failures: Vec::new(),
            way: None,
            side: None,
            broken: None,
        }
    }

    /// Takes the outcome of the op at this position.
    pub fn take(&mut self, index: usize, outcome: &Outcome) {
        let ops = &self.compiled.plan.ops;
        let op = ops.get(index).zip(self.compiled.checks.get(index));
        let (None, Some((op, check))) = (&self.broken, op) else {
            return;
        };
        match index == self.next {
            true => self.compare(op, check, outcome),
            false => self.broken = self.unreported(),
        }
        self.values.learn(op, outcome);
        self.next += 1;
    }

    /// Whether a step has failed.
    pub fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// Returns the result of the steps. What the kernel did wrong comes before a failure of the
    /// agent, which may follow from it.
    pub fn finish(self) -> Steps {
        let unreported = self.unreported();
        let mut failures = self.failures.into_iter();
        match (failures.next(), self.broken.or(unreported), self.side) {
            (Some(first), ..) => Steps::Failed(Failures {
                first,
                later: failures.collect(),
            }),
            (None, Some(why), _) => Steps::Broken(why),
            (None, None, Some((Side::Planned, _))) => Steps::AsPlanned,
            (None, None, Some((Side::Today, _)) | None) => Steps::AsExpected,
        }
    }

    fn unreported(&self) -> Option<String> {
        let check = self.compiled.checks.get(self.next)?;
        Some(format!("{}: the agent reported no outcome", check.label))
    }

    fn compare(&mut self, op: &Op, check: &Check, outcome: &Outcome) {
        if let (Parts::Together(race), Observed::Together(racers)) =
            (&check.parts, &outcome.observed)
        {
            self.way = race::way(race, racers);
        }
        let check = match &check.parts {
            Parts::ByRace(checks) => match self.way.and_then(|way| checks.get(way)) {
                Some(check) => check,
                // The race itself has failed, and nothing is known of what follows it.
                None => return,
            },
            _ => check,
        };
        if let Some(why) = broken(outcome) {
            let place = self.sources.place(check.at);
            let why = format!("{place}: {}: {why}", check.label);
            self.broken = Some(why);
            return;
        }
        let mismatches = match (Side::of(check, outcome), &self.side) {
            (Some(side), Some((other, step))) if side != *other => {
                let observed = format!("{side}, although `{step}` ended {other}");
                vec![Mismatch {
                    expected: format!("an end {other}"),
                    observed,
                    details: Vec::new(),
                }]
            }
            (Some(Side::Planned), known) => {
                if known.is_none() {
                    self.side = Some((Side::Planned, check.label.clone()));
                }
                return;
            }
            (Some(Side::Today), None) => {
                self.side = Some((Side::Today, check.label.clone()));
                compare_op(op, check, outcome, &mut self.values)
            }
            _ => compare_op(op, check, outcome, &mut self.values),
        };
        if mismatches.is_empty() {
            return;
        }
        self.failures.push(Failure {
            why: describe(check, &mismatches, self.sources),
            op: self.next,
            step: check.step,
            observed: mismatches.into_iter().map(|it| it.observed).collect(),
            lacking: lacking(op, check, outcome),
        });
    }
}

fn lacking(op: &Op, check: &Check, outcome: &Outcome) -> Option<Lacking> {
    match check.needs_dma {
        true => Some(Lacking::Landing),
        false => mock_device::is_refused(op, outcome).then_some(Lacking::MockDevice),
    }
}

fn compare_op(op: &Op, check: &Check, outcome: &Outcome, values: &mut Values) -> Vec<Mismatch> {
    match &check.parts {
        Parts::Whole | Parts::ByRace(_) => {
            let mismatches = compare(&check.expect, outcome, values);
            with_length(op, check, outcome, mismatches)
        }
        Parts::Injected(injection) => injected::compare_all(op, check, injection, outcome, values),
        Parts::Together(race) => race::compare_all(race, outcome, values),
    }
}

/// Adds the number of bytes that were transferred where a transfer should have failed.
fn with_length(
    op: &Op,
    check: &Check,
    outcome: &Outcome,
    mut mismatches: Vec<Mismatch>,
) -> Vec<Mismatch> {
    let transfers = matches!(
        op.innermost(),
        Op::File(FileOp::Read { .. } | FileOp::Write { .. } | FileOp::Transfer { .. })
    );
    if let (true, Observed::Ok { ret, .. }) = (transfers, &outcome.observed)
        && !ends_as(&check.expect.end, outcome)
    {
        for mismatch in &mut mismatches {
            mismatch.observed.push_str(&format!(", {ret} bytes"));
        }
    }
    mismatches
}

/// Returns why the agent could not execute an op or a part of it.
pub fn broken(outcome: &Outcome) -> Option<&str> {
    match &outcome.observed {
        Observed::Broken { why } => Some(why),
        Observed::Together(racers) => racers.iter().find_map(|racer| broken(&racer.outcome)),
        _ => None,
    }
}

fn describe(check: &Check, mismatches: &[Mismatch], sources: &Sources) -> String {
    let step = check.step + 1;
    let place = sources.place(check.at);
    let mut text = format!("step {step} ({}) at {place}", check.label);
    for mismatch in mismatches {
        let (expected, observed) = (&mismatch.expected, &mismatch.observed);
        text.push_str(&format!("\n  expected: {expected}\n  observed: {observed}"));
        if !mismatch.details.is_empty() {
            text.push_str(&format!("; {}", mismatch.details.join(", ")));
        }
    }
    text
}
