//! Judges ops that were executed at once: their ends together have to be an allowed combination.

use case::{Expect, Race, WantEnd};
use wire::{Observed, Outcome};

use crate::judge::{
    comparison::{Mismatch, compare, ends_as},
    description::{ends_at_once, observed_end, ways},
    values::Values,
};

/// Compares the outcomes with the ways in which the race may end, and returns every difference.
pub fn compare_all(race: &Race, outcome: &Outcome, values: &Values) -> Vec<Mismatch> {
    let outcomes = match &outcome.observed {
        Observed::Together(outcomes) if outcomes.len() == race.checks.len() => outcomes,
        _ => {
            let expected = format!("{} outcomes", race.checks.len());
            return vec![Mismatch::new(expected, observed_end(outcome))];
        }
    };
    let seen = |way: &&Vec<WantEnd>| {
        let mut ends = way.iter().zip(outcomes);
        ends.all(|(want, outcome)| ends_as(want, outcome))
    };
    let Some(way) = race.ends.iter().find(seen) else {
        let observed = ends_at_once(outcomes.iter().map(observed_end));
        return vec![Mismatch::new(ways(race), observed)];
    };
    let ended = race.checks.iter().zip(way).zip(outcomes);
    let each = ended.flat_map(|((check, end), outcome)| {
        let expect = Expect {
            end: end.clone(),
            ..check.expect.clone()
        };
        compare(&expect, outcome, values)
    });
    each.collect()
}
