//! What became of each transition.

use crate::plan::Plan;

/// What became of a transition; of several, the last in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing was booted.
    NotRun,
    /// The kernel did as the model says.
    Conforms,
    /// Its walk ended before it, or has no verdict on it.
    NotCovered,
    /// The kernel did something else.
    Diverged,
}

/// The outcome of every transition of a plan that was walked.
#[must_use]
pub fn outcomes(plan: &Plan) -> Vec<Outcome> {
    let progress = &plan.progress;
    let outcome = |edge| match (progress.is_closed(edge), progress.is_taken(edge)) {
        // One that another walk saw conform has diverged all the same.
        (true, _) => Outcome::Diverged,
        (false, true) => Outcome::Conforms,
        (false, false) => Outcome::NotCovered,
    };
    (0..plan.graph.edges.len()).map(outcome).collect()
}

/// How many transitions have which outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Nothing was booted.
    pub not_run: usize,
    /// As the model says.
    pub conforms: usize,
    /// Not reached.
    pub not_covered: usize,
    /// Those that diverged, in words.
    pub diverged: Vec<String>,
}

impl Tally {
    /// Counts one; `words` says which, should it have diverged.
    pub fn add(&mut self, outcome: Outcome, words: impl FnOnce() -> String) {
        match outcome {
            Outcome::NotRun => self.not_run += 1,
            Outcome::Conforms => self.conforms += 1,
            Outcome::NotCovered => self.not_covered += 1,
            Outcome::Diverged => self.diverged.push(words()),
        }
    }

    /// Counts what another counts.
    pub fn absorb(&mut self, other: Self) {
        let Self {
            not_run,
            conforms,
            not_covered,
            diverged,
        } = other;
        self.not_run += not_run;
        self.conforms += conforms;
        self.not_covered += not_covered;
        self.diverged.extend(diverged);
    }

    /// How many have this outcome.
    #[must_use]
    pub const fn count(&self, outcome: Outcome) -> usize {
        match outcome {
            Outcome::NotRun => self.not_run,
            Outcome::Conforms => self.conforms,
            Outcome::NotCovered => self.not_covered,
            Outcome::Diverged => self.diverged.len(),
        }
    }

    /// The worst outcome.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        let worst_first = [Outcome::Diverged, Outcome::NotCovered, Outcome::Conforms];
        let there = |outcome: &Outcome| self.count(*outcome) > 0;
        worst_first
            .into_iter()
            .find(there)
            .unwrap_or(Outcome::NotRun)
    }
}
