//! Judges ops that were executed at once: their ends together have to be an allowed combination.

use case::{Expect, Race, WantEnd};
use wire::{Observed, Outcome, Racer};

use crate::judge::{
    comparison::{Mismatch, compare, ends_as},
    description::{ends_at_once, observed_end, ways},
    values::Values,
};

/// Returns the first way in which the race may end that these outcomes are.
pub fn way(race: &Race, racers: &[Racer]) -> Option<usize> {
    let seen = |way: &Vec<WantEnd>| {
        let mut ends = way.iter().zip(racers);
        ends.all(|(want, racer)| ends_as(want, &racer.outcome))
    };
    match racers.len() == race.checks.len() {
        true => race.ends.iter().position(seen),
        false => None,
    }
}

/// Compares the outcomes with the ways in which the race may end, and returns every difference.
pub fn compare_all(race: &Race, outcome: &Outcome, values: &Values) -> Vec<Mismatch> {
    let racers = match &outcome.observed {
        Observed::Together(racers) if racers.len() == race.checks.len() => racers,
        _ => {
            let expected = format!("{} outcomes", race.checks.len());
            return vec![Mismatch::new(expected, observed_end(outcome))];
        }
    };
    let Some(way) = way(race, racers).and_then(|way| race.ends.get(way)) else {
        let observed = ends_at_once(racers.iter().map(|racer| observed_end(&racer.outcome)));
        return vec![Mismatch::new(ways(race), observed)];
    };
    let ended = race.checks.iter().zip(way).zip(racers);
    let each = ended.flat_map(|((check, end), racer)| {
        let expect = Expect {
            end: end.clone(),
            ..check.expect.clone()
        };
        compare(&expect, &racer.outcome, values)
    });
    each.collect()
}
