//! How an op is not as expected.

use case::{Check, Parts, Sources};
use wire::{FileOp, Observed, Op, Outcome};

use crate::judge::{
    comparison::{Mismatch, compare, ends_as},
    injected, mock_device, race,
    values::Values,
};

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

/// What a failed step shows a platform not to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// DMA does not land.
    Landing,
    /// A device of the mock is not made. What follows depends on it.
    MockDevice,
}

/// Returns what a failed step shows a platform not to do.
pub fn lacking(op: &Op, check: &Check, outcome: &Outcome) -> Option<Lacking> {
    match check.needs_dma {
        true => Some(Lacking::Landing),
        false => mock_device::is_refused(op, outcome).then_some(Lacking::MockDevice),
    }
}

/// Compares the outcome of an op with its check.
pub fn compare_op(op: &Op, check: &Check, outcome: &Outcome, values: &mut Values) -> Vec<Mismatch> {
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

/// Describes what was expected of a step and observed.
pub fn describe(check: &Check, mismatches: &[Mismatch], sources: &Sources) -> String {
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
