//! Judges ops that were executed at once: their ends together have to be an allowed combination.

use case::{Expect, Race, WantEnd};
use wire::{Observed, Outcome};

use crate::judge::{
    comparison::{Mismatch, compare, ends_as},
    description::{ends_at_once, observed_end, ways},
    values::Values,
};

/// Compares the outcomes with the ways in which the race may end.
pub fn compare_all(race: &Race, outcome: &Outcome, values: &Values) -> Result<(), Mismatch> {
    let outcomes = match &outcome.observed {
        Observed::Together(outcomes) if outcomes.len() == race.checks.len() => outcomes,
        _ => {
            return Err(Mismatch {
                expected: format!("{} outcomes", race.checks.len()),
                observed: observed_end(outcome),
            });
        }
    };
    let seen = |way: &&Vec<WantEnd>| {
        let mut ends = way.iter().zip(outcomes);
        ends.all(|(want, outcome)| ends_as(want, outcome))
    };
    let Some(way) = race.ends.iter().find(seen) else {
        return Err(Mismatch {
            expected: ways(race),
            observed: ends_at_once(outcomes.iter().map(observed_end)),
        });
    };
    for ((check, end), outcome) in race.checks.iter().zip(way).zip(outcomes) {
        let expect = Expect {
            end: end.clone(),
            ..check.expect.clone()
        };
        compare(&expect, outcome, values)?;
    }
    Ok(())
}
