//! Judges ops that were executed at once: together they have to end in a way that is allowed.

use case::{Expect, Race, WantEnd};
use wire::{Observed, Outcome};

use crate::judge::{Mismatch, Slots, compare, ends_as, observed_end, want_end};

/// Compares what was seen with the ways in which the race may end.
///
/// # Errors
/// When it is none of them, or an op shows something else that was not expected.
pub fn compare_all(race: &Race, outcome: &Outcome, slots: &Slots) -> Result<(), Mismatch> {
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
            expected: expected(race),
            observed: text(outcomes.iter().map(observed_end)),
        });
    };
    for ((check, end), outcome) in race.checks.iter().zip(way).zip(outcomes) {
        let expect = Expect {
            end: end.clone(),
            ..check.expect.clone()
        };
        compare(&expect, outcome, slots)?;
    }
    Ok(())
}

/// The ways in which it may end, in words.
#[must_use]
pub fn expected(race: &Race) -> String {
    let ways = race.ends.iter().map(|way| text(way.iter().map(want_end)));
    ways.collect::<Vec<_>>().join("; or ")
}

/// The ends of ops that were executed at once, in their order.
pub fn text(ends: impl Iterator<Item = String>) -> String {
    ends.collect::<Vec<_>>().join(" | ")
}
