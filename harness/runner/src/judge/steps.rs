//! Compares the outcome of each op with its expectation, once and in order.

use case::{Check, Compiled, Parts, Sources};
use wire::{Observed, Op, Outcome};

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
    /// A step is as the plan of 2021 demands where Linux is known to deviate.
    AsPlanned,
    /// A step failed.
    Failed {
        /// What was expected and observed, and the location of the step.
        why: String,
        /// The step, from 0.
        step: usize,
        /// What a platform may be known not to do.
        lacking: Option<Lacking>,
    },
    /// The agent failed, so there is no result about the kernel.
    Broken(String),
}

/// What a failed step shows a platform not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// DMA does not land.
    Landing,
    /// A device of the mock is not made.
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
    /// The deciding result, if there is one; later outcomes are ignored.
    found: Option<Steps>,
}

impl<'a> StepJudge<'a> {
    /// Returns a judge for a case that begins.
    pub fn new(compiled: &'a Compiled, sources: &'a Sources) -> Self {
        Self {
            compiled,
            sources,
            values: Values::default(),
            next: 0,
            found: None,
        }
    }

    /// Takes the outcome of the op at this position.
    pub fn take(&mut self, index: usize, outcome: &Outcome) {
        let ops = &self.compiled.plan.ops;
        let op = ops.get(index).zip(self.compiled.checks.get(index));
        let (None, Some((op, check))) = (&self.found, op) else {
            return;
        };
        self.found = match index == self.next {
            true => self.compare(op, check, outcome),
            false => self.unreported(),
        };
        self.values.learn(op, outcome);
        self.next += 1;
    }

    /// Whether a step has failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.found, Some(Steps::Failed { .. }))
    }

    /// Returns the result of the steps.
    pub fn finish(self) -> Steps {
        let unreported = self.unreported();
        self.found.or(unreported).unwrap_or(Steps::AsExpected)
    }

    fn unreported(&self) -> Option<Steps> {
        let check = self.compiled.checks.get(self.next)?;
        let why = format!("{}: the agent reported no outcome", check.label);
        Some(Steps::Broken(why))
    }

    fn compare(&mut self, op: &Op, check: &Check, outcome: &Outcome) -> Option<Steps> {
        if let Some(why) = broken(outcome) {
            let place = self.sources.place(check.at);
            return Some(Steps::Broken(format!("{place}: {}: {why}", check.label)));
        }
        let planned = check.plan.as_ref();
        let planned = planned.is_some_and(|plan| ends_as(plan, outcome));
        if planned && !ends_as(&check.expect.end, outcome) {
            return Some(Steps::AsPlanned);
        }
        let mismatch = compare_op(op, check, outcome, &mut self.values).err()?;
        Some(Steps::Failed {
            why: describe(check, &mismatch, self.sources),
            step: check.step,
            lacking: lacking(op, check, outcome),
        })
    }
}

fn lacking(op: &Op, check: &Check, outcome: &Outcome) -> Option<Lacking> {
    match check.needs_dma {
        true => Some(Lacking::Landing),
        false => mock_device::is_refused(op, outcome).then_some(Lacking::MockDevice),
    }
}

fn compare_op(
    op: &Op,
    check: &Check,
    outcome: &Outcome,
    values: &mut Values,
) -> Result<(), Mismatch> {
    match &check.parts {
        Parts::Whole => compare(&check.expect, outcome, values),
        Parts::Injected(injection) => injected::compare_all(op, check, injection, outcome, values),
        Parts::Together(race) => race::compare_all(race, outcome, values),
    }
}

/// Returns why the agent could not execute an op or a part of it.
fn broken(outcome: &Outcome) -> Option<&str> {
    match &outcome.observed {
        Observed::Broken { why } => Some(why),
        Observed::Together(outcomes) => outcomes.iter().find_map(broken),
        _ => None,
    }
}

fn describe(check: &Check, mismatch: &Mismatch, sources: &Sources) -> String {
    format!(
        "step {} ({}) at {}\n  expected: {}\n  observed: {}",
        check.step + 1,
        check.label,
        sources.place(check.at),
        mismatch.expected,
        mismatch.observed
    )
}
