//! The sides that a kernel may be on where Linux deviates from the plan of 2021: what Linux does
//! today, or what a clause of the plan demands. Each side is judged from the first step to the last,
//! and a kernel has to be on one of them in all steps: one that moves a group and then refuses to has
//! done half of the plan.

use case::{Check, Compiled, Parts, Sources};
use wire::{Observed, Op, Outcome};

use crate::judge::{
    failure::{Failure, compare_op, describe, lacking},
    race,
    values::Values,
};

/// A case, judged by what one side expects.
#[derive(Debug)]
struct Side {
    /// The clause whose plan it follows; `None` for what Linux does today.
    clause: Option<String>,
    values: Values,
    /// The way in which the last race ended; `None` if there was none, or it ended in no way in
    /// which it may.
    way: Option<usize>,
    failures: Vec<Failure>,
}

/// All sides of a case. The first one is what Linux does today.
#[derive(Debug)]
pub struct Sides {
    today: Side,
    planned: Vec<Side>,
}

/// What came out.
#[derive(Debug)]
pub enum Seen {
    /// Every step is as Linux does it today.
    Today,
    /// Every step is as these clauses of the plan demand.
    Planned(Vec<String>),
    /// Steps failed, on each side.
    Failed(Vec<Failure>),
}

impl Sides {
    /// Returns the sides of a case that begins.
    pub fn of(compiled: &Compiled) -> Self {
        let planned = compiled.planned().into_iter();
        Self {
            today: Side::new(None),
            planned: planned.map(|clause| Side::new(Some(clause))).collect(),
        }
    }

    /// Takes the outcome of an op, which is that of number `index`.
    pub fn take(&mut self, index: usize, op: &Op, check: &Check, seen: &Outcome, from: &Sources) {
        for side in std::iter::once(&mut self.today).chain(&mut self.planned) {
            side.take(index, op, check, seen, from);
            side.values.learn(op, seen);
        }
    }

    /// Whether a step has failed on each side.
    pub fn have_failed(&self) -> bool {
        let mut all = std::iter::once(&self.today).chain(&self.planned);
        all.all(|side| !side.failures.is_empty())
    }

    /// Returns what came out. If steps failed on each side, the kernel is taken to be on the one
    /// that it stayed on for longest.
    pub fn finish(self) -> Seen {
        if self.today.failures.is_empty() {
            return Seen::Today;
        }
        let (met, others): (Vec<_>, Vec<_>) = self
            .planned
            .into_iter()
            .partition(|side| side.failures.is_empty());
        if !met.is_empty() {
            return Seen::Planned(met.into_iter().filter_map(|side| side.clause).collect());
        }
        let longest = others.into_iter().fold(self.today, |one, other| {
            match other.fails_at() > one.fails_at() {
                true => other,
                false => one,
            }
        });
        Seen::Failed(longest.told())
    }
}

impl Side {
    fn new(clause: Option<&str>) -> Self {
        Self {
            clause: clause.map(str::to_owned),
            values: Values::default(),
            way: None,
            failures: Vec::new(),
        }
    }

    /// The op that failed first.
    fn fails_at(&self) -> Option<usize> {
        self.failures.first().map(|failure| failure.op)
    }

    fn take(&mut self, index: usize, op: &Op, check: &Check, outcome: &Outcome, from: &Sources) {
        let check = self.own(check);
        if let (Parts::Together(race), Observed::Together(racers)) =
            (&check.parts, &outcome.observed)
        {
            self.way = race::way(race, racers);
        }
        let check = match &check.parts {
            Parts::ByRace(checks) => match self.way.and_then(|way| checks.get(way)) {
                Some(check) => self.own(check),
                // The race itself has failed, and nothing is known of what follows it.
                None => return,
            },
            _ => check,
        };
        let mismatches = compare_op(op, check, outcome, &mut self.values);
        if mismatches.is_empty() {
            return;
        }
        self.failures.push(Failure {
            why: describe(check, &mismatches, from),
            op: index,
            step: check.step,
            observed: mismatches.into_iter().map(|it| it.observed).collect(),
            lacking: lacking(op, check, outcome),
        });
    }

    fn own<'a>(&self, check: &'a Check) -> &'a Check {
        let planned = self
            .clause
            .as_deref()
            .and_then(|clause| check.under(clause));
        planned.unwrap_or(check)
    }

    /// Returns the failures, of which the first says what side the kernel was on until then.
    fn told(self) -> Vec<Failure> {
        let mut failures = self.failures;
        if let (Some(clause), Some(first)) = (self.clause, failures.first_mut()) {
            let side = format!("\n  all steps before it are as the plan of {clause} demands");
            first.why.push_str(&side);
        }
        failures
    }
}
