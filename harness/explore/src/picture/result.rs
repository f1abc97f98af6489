//! The result of each transition.

use crate::traversal::Traversal;

/// The result of a transition. The result of several transitions is the last of theirs in this
/// order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TransitionResult {
    /// No guest was booted.
    NotRun,
    /// The kernel conforms to the model.
    Conforms,
    /// The walk ended before the transition, or has no verdict.
    NotCovered,
    /// The kernel did something else.
    Diverged,
}

/// The result of every transition of a traversal that was walked.
pub fn results(traversal: &Traversal) -> Vec<TransitionResult> {
    let marks = &traversal.marks;
    let result = |edge| match (marks.is_closed(edge), marks.is_taken(edge)) {
        // A transition that diverged in one walk may have conformed in another.
        (true, _) => TransitionResult::Diverged,
        (false, true) => TransitionResult::Conforms,
        (false, false) => TransitionResult::NotCovered,
    };
    (0..traversal.graph.edges.len()).map(result).collect()
}

/// Number of transitions with each result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResultCounts {
    /// Nothing was booted.
    pub not_run: usize,
    /// They conform.
    pub conforms: usize,
    /// They were not reached.
    pub not_covered: usize,
    /// Descriptions of those that diverged.
    pub diverged: Vec<String>,
}

impl ResultCounts {
    /// Counts a transition; `words` describes it if it diverged.
    pub fn add(&mut self, result: TransitionResult, words: impl FnOnce() -> String) {
        match result {
            TransitionResult::NotRun => self.not_run += 1,
            TransitionResult::Conforms => self.conforms += 1,
            TransitionResult::NotCovered => self.not_covered += 1,
            TransitionResult::Diverged => self.diverged.push(words()),
        }
    }

    /// Adds other counts.
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

    /// How many have this result.
    pub const fn count(&self, result: TransitionResult) -> usize {
        match result {
            TransitionResult::NotRun => self.not_run,
            TransitionResult::Conforms => self.conforms,
            TransitionResult::NotCovered => self.not_covered,
            TransitionResult::Diverged => self.diverged.len(),
        }
    }

    /// The worst result.
    pub fn result(&self) -> TransitionResult {
        let worst_first = [
            TransitionResult::Diverged,
            TransitionResult::NotCovered,
            TransitionResult::Conforms,
        ];
        let there = |result: &TransitionResult| self.count(*result) > 0;
        worst_first
            .into_iter()
            .find(there)
            .unwrap_or(TransitionResult::NotRun)
    }
}
