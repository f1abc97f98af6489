//! Compares the outcome of each op with its expectation, once and in order.

use case::{Compiled, Sources};
use wire::{Observed, Outcome};

use crate::judge::{
    failure::{Failure, Failures},
    sides::{Seen, Sides},
};

/// Result of the steps of a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Steps {
    /// Every step is as expected.
    AsExpected,
    /// Every step in which Linux is known to deviate is as these clauses of the plan demand, and
    /// every other one is as expected.
    AsPlanned(Vec<String>),
    /// Steps failed.
    Failed(Failures),
    /// The agent failed, so there is no result about the kernel.
    Broken(String),
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
    /// The op whose outcome comes next.
    next: usize,
    sides: Sides,
    /// How the agent failed, if it did; later outcomes are ignored.
    broken: Option<String>,
}

impl<'a> StepJudge<'a> {
    /// Returns a judge for a case that begins.
    pub fn new(compiled: &'a Compiled, sources: &'a Sources) -> Self {
        Self {
            compiled,
            sources,
            next: 0,
            sides: Sides::of(compiled),
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
        match (index == self.next, broken(outcome)) {
            (false, _) => self.broken = self.unreported(),
            (true, Some(why)) => {
                let place = self.sources.place(check.at);
                self.broken = Some(format!("{place}: {}: {why}", check.label));
            }
            (true, None) => self.sides.take(index, op, check, outcome, self.sources),
        }
        self.next += 1;
    }

    /// Whether a step has failed.
    pub fn has_failed(&self) -> bool {
        self.sides.have_failed()
    }

    /// Returns the result of the steps. What the kernel did wrong comes before a failure of the
    /// agent, which may follow from it.
    pub fn finish(self) -> Steps {
        let broken = self.broken.clone().or_else(|| self.unreported());
        match (self.sides.finish(), broken) {
            (Seen::Failed(failures), broken) => failed(failures, broken),
            (_, Some(why)) => Steps::Broken(why),
            (Seen::Planned(clauses), None) => Steps::AsPlanned(clauses),
            (Seen::Today, None) => Steps::AsExpected,
        }
    }

    fn unreported(&self) -> Option<String> {
        let check = self.compiled.checks.get(self.next)?;
        Some(format!("{}: the agent reported no outcome", check.label))
    }
}

fn failed(failures: Vec<Failure>, broken: Option<String>) -> Steps {
    let mut failures = failures.into_iter();
    match (failures.next(), broken) {
        (Some(first), _) => Steps::Failed(Failures {
            first,
            later: failures.collect(),
        }),
        (None, Some(why)) => Steps::Broken(why),
        (None, None) => Steps::AsExpected,
    }
}

/// Returns why the agent could not execute an op or a part of it.
pub fn broken(outcome: &Outcome) -> Option<&str> {
    match &outcome.observed {
        Observed::Broken { why } => Some(why),
        Observed::Together(racers) => racers.iter().find_map(|racer| broken(&racer.outcome)),
        _ => None,
    }
}
