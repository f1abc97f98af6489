//! The orders in which races ended: of one case, summed over runs, and those that no run shows.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use case::{Check, Compiled, Parts, Race};
use serde::{Deserialize, Serialize};
use wire::{ControlOp, Observed, Op, Outcome, Plan, Racer};

use crate::{
    judge::{description, race},
    record::Record,
};

/// How one race of a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raced {
    /// Step of the case, from 1.
    pub step: usize,
    /// What raced.
    pub label: String,
    /// The orders in which it may end. If its ends have no choice, they are told apart by which
    /// step ended first.
    pub orders: Vec<String>,
    /// The order in which it ended, from 0; `None` if in none of them.
    pub seen: Option<usize>,
    /// Whether the calls were made at the same time, and not one after the other.
    pub overlapped: bool,
}

/// Returns how each race of a case ended, as far as it was reached.
pub fn of(compiled: &Compiled, outcomes: &[Option<Outcome>]) -> Vec<Raced> {
    let pairs = compiled.checks.iter().zip(outcomes);
    let raced = pairs.filter_map(|(check, outcome)| raced(check, outcome.as_ref()?));
    raced.collect()
}

fn raced(check: &Check, outcome: &Outcome) -> Option<Raced> {
    let (Parts::Together(race), Observed::Together(racers)) = (&check.parts, &outcome.observed)
    else {
        return None;
    };
    let way = race::way(race, racers);
    Some(Raced {
        step: check.step + 1,
        label: check.label.clone(),
        orders: orders(race),
        seen: match has_choice(race) {
            true => way,
            false => way.and(first_to_end(racers)),
        },
        overlapped: overlapped(racers),
    })
}

fn has_choice(race: &Race) -> bool {
    race.ends.len() > 1
}

fn orders(race: &Race) -> Vec<String> {
    match has_choice(race) {
        true => race.ends.iter().map(|it| description::way(it)).collect(),
        false => {
            let numbers = 1..=race.checks.len();
            numbers.map(|number| format!("{number} first")).collect()
        }
    }
}

fn first_to_end(racers: &[Racer]) -> Option<usize> {
    let ends = racers.iter().enumerate();
    ends.min_by_key(|(_, racer)| racer.ended).map(|(at, _)| at)
}

/// Whether there was a moment at which all of them were at work.
fn overlapped(racers: &[Racer]) -> bool {
    let last_begin = racers.iter().map(|racer| racer.began).max();
    let first_end = racers.iter().map(|racer| racer.ended).min();
    last_begin < first_end
}

/// Microseconds by which a step of a race begins later, in turn. The longest one lets a close of a
/// device end before.
const DELAYS: [u32; 4] = [50, 1000, 20_000, 200_000];

/// Delays one step of each race of a plan, another one in each run of many: chance alone may never
/// show an order. In the first run, and in every so many, all steps begin together. A case that
/// has delays of its own keeps them.
pub fn delay(plan: &mut Plan, turn: u64) {
    for op in &mut plan.ops {
        if let Op::Control(ControlOp::Together { ops, delays }) = op
            && delays.is_empty()
        {
            *delays = delays_of(ops.len(), turn);
        }
    }
}

fn delays_of(racers: usize, turn: u64) -> Vec<u32> {
    let turn = usize::try_from(turn).unwrap_or_default();
    let (round, late) = (turn / (racers + 1), turn % (racers + 1));
    let Some(late) = late.checked_sub(1) else {
        return Vec::new();
    };
    let delay = DELAYS.get(round % DELAYS.len()).copied();
    let delays = (0..racers).map(|racer| match racer == late {
        true => delay.unwrap_or_default(),
        false => 0,
    });
    delays.collect()
}

/// How often each order of each race was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally(BTreeMap<Name, Counts>);

/// A race: the id of the case, and the step.
type Name = (String, usize);

/// The orders of one race.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    label: String,
    /// Each order with how often it was seen.
    orders: Vec<(String, u64)>,
    /// How often it was run at all.
    runs: u64,
    /// How often the calls were made at the same time.
    overlapped: u64,
}

/// An order that no run showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// Id of the case.
    pub case: String,
    /// Step, from 1.
    pub step: usize,
    /// What raced.
    pub label: String,
    /// The order.
    pub order: String,
}

impl fmt::Display for Unseen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            step,
            label,
            order,
        } = self;
        write!(
            f,
            "{case}: step {step} ({label}) never ended as `{order}`; force this order, or list it \
             with the reason in results/races.yaml"
        )
    }
}

impl Tally {
    /// Adds the races of a record.
    pub fn add(&mut self, record: &Record) {
        for raced in &record.races {
            let name = (record.id.clone(), raced.step);
            let counts = self.0.entry(name).or_insert_with(|| Counts {
                label: raced.label.clone(),
                orders: raced.orders.iter().map(|it| (it.clone(), 0)).collect(),
                runs: 0,
                overlapped: 0,
            });
            counts.runs += 1;
            counts.overlapped += u64::from(raced.overlapped);
            let seen = raced.seen.and_then(|order| counts.orders.get_mut(order));
            if let Some((_, times)) = seen {
                *times += 1;
            }
        }
    }

    /// The races of these records.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut tally = Self::default();
        records.into_iter().for_each(|record| tally.add(record));
        tally
    }

    /// Whether there was no race.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns a line for each race: how often each order was seen, and how often the calls were
    /// made at the same time.
    pub fn lines(&self) -> Vec<String> {
        let width = self.0.keys().map(|(id, _)| id.len()).max();
        let width = width.unwrap_or_default();
        let line = |((id, step), counts): (&Name, &Counts)| {
            let orders = counts.orders.iter();
            let orders: Vec<_> = orders
                .map(|(order, times)| format!("{times} x {order}"))
                .collect();
            let (all, runs) = (counts.overlapped, counts.runs);
            format!(
                "{id:<width$}  step {step:>2}  {all} of {runs} at once  {}",
                orders.join(", ")
            )
        };
        self.0.iter().map(line).collect()
    }

    /// Returns the orders that no run showed, without those on the list.
    pub fn unseen(&self, listed: &Listed) -> Vec<Unseen> {
        let all = self.0.iter().flat_map(|((case, step), counts)| {
            let unseen = counts.orders.iter().filter(|(_, times)| *times == 0);
            unseen.map(|(order, _)| Unseen {
                case: case.clone(),
                step: *step,
                label: counts.label.clone(),
                order: order.clone(),
            })
        });
        all.filter(|unseen| !listed.has(unseen)).collect()
    }

    /// Returns what is wrong with the list: entries that name an order that a race of these runs
    /// does not have. An entry of a case that did not run is not looked at.
    pub fn misnamed(&self, listed: &Listed) -> Vec<String> {
        let wrong = listed.0.iter().filter(|entry| {
            let of_case = |(name, _): &(&Name, &Counts)| entry.is_about(&name.0);
            let mut races = self.0.iter().filter(of_case).peekable();
            let ran = races.peek().is_some();
            ran && !races.any(|((_, step), counts)| {
                *step == entry.step && counts.orders.iter().any(|(order, _)| *order == entry.order)
            })
        });
        let told = wrong.map(|entry| {
            format!(
                "results/races.yaml: {} has no order `{}` in step {}",
                entry.case, entry.order, entry.step
            )
        });
        told.collect()
    }
}

/// The orders that runs need not show, each with the reason: `results/races.yaml`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed(Vec<Entry>);

/// An order that runs need not show.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Id of the case, or the part of it before the row or shape.
    case: String,
    /// Step, from 1.
    step: usize,
    /// The order, as the table of orders shows it.
    order: String,
    /// What forces it instead, or why nothing can.
    #[allow(dead_code, reason = "for readers of the list, who have to give it")]
    why: String,
}

impl Entry {
    fn is_about(&self, case: &str) -> bool {
        let rest = case.strip_prefix(self.case.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Why the list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("reading {path}: {error}; a list without entries is an empty file")]
    Read { path: String, error: io::Error },
    #[error("{path}: {error}; an entry has the keys case, step, order and why")]
    Entry {
        path: String,
        error: Box<serde_yaml::Error>,
    },
}

impl Listed {
    /// Reads the list.
    pub fn load(path: &Path) -> Result<Self, ListError> {
        let shown = path.display().to_string();
        let text = fs::read_to_string(path).map_err(|error| ListError::Read {
            path: shown.clone(),
            error,
        })?;
        Self::read(&text).map_err(|error| ListError::Entry {
            path: shown,
            error: Box::new(error),
        })
    }

    fn read(text: &str) -> Result<Self, serde_yaml::Error> {
        let entries: Option<Vec<Entry>> = serde_yaml::from_str(text)?;
        Ok(Self(entries.unwrap_or_default()))
    }

    fn has(&self, unseen: &Unseen) -> bool {
        self.0.iter().any(|entry| {
            entry.is_about(&unseen.case) && entry.step == unseen.step && entry.order == unseen.order
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;
    use wire::Outcome;

    use super::*;

    fn racer(began: u64, ended: u64) -> Racer {
        let observed = Observed::Ok {
            ret: 0,
            data: Vec::new(),
        };
        let outcome = Outcome { observed, us: 0 };
        Racer {
            outcome,
            began,
            ended,
        }
    }

    #[rstest]
    #[case::nested(&[(0, 9), (1, 5)], 1, true)]
    #[case::one_after_the_other(&[(0, 5), (5, 9)], 0, false)]
    #[case::the_third_comes_late(&[(0, 5), (1, 6), (7, 9)], 0, false)]
    fn the_times_tell_the_order(
        #[case] spans: &[(u64, u64)],
        #[case] first: usize,
        #[case] at_once: bool,
    ) {
        let racers = spans.iter().map(|(began, ended)| racer(*began, *ended));
        let racers: Vec<_> = racers.collect();
        assert_eq!(first_to_end(&racers), Some(first));
        assert_eq!(overlapped(&racers), at_once);
    }

    #[test]
    fn another_step_begins_later_in_each_run() {
        let delays: Vec<_> = (0..7).map(|turn| delays_of(2, turn)).collect();
        let (none, first, second) = (vec![], vec![50, 0], vec![0, 50]);
        let round = [none.clone(), first, second];
        assert_eq!(delays[..3], round);
        assert_eq!(
            delays[3..],
            [none.clone(), vec![1000, 0], vec![0, 1000], none]
        );
    }

    fn record(id: &str, seen: Option<usize>) -> Record {
        let raced = Raced {
            step: 4,
            label: "bind | bind".to_owned(),
            orders: vec!["success | EPERM".to_owned(), "EPERM | success".to_owned()],
            seen,
            overlapped: seen == Some(0),
        };
        Record {
            races: vec![raced],
            ..Record::of_machine(id, "intel", "a rule")
        }
    }

    fn tally() -> Tally {
        let records = [
            record("stage2/race/bridge", Some(0)),
            record("stage2/race/bridge", Some(1)),
            record("stage2/race/functions", Some(0)),
            record("stage2/race/functions", None),
        ];
        Tally::of(&records)
    }

    #[test]
    fn orders_are_counted_for_each_case() {
        insta::assert_snapshot!(tally().lines().join("\n"), @r"
        stage2/race/bridge     step  4  1 of 2 at once  1 x success | EPERM, 1 x EPERM | success
        stage2/race/functions  step  4  1 of 2 at once  1 x success | EPERM, 0 x EPERM | success
        ");
    }

    #[rstest]
    #[case::not_listed("", 1)]
    #[case::listed("- {case: stage2/race, step: 4, order: EPERM | success, why: x}", 0)]
    #[case::of_one_shape(
        "- {case: stage2/race/functions, step: 4, order: EPERM | success, why: x}",
        0
    )]
    #[case::of_another_case("- {case: stage2/rac, step: 4, order: EPERM | success, why: x}", 1)]
    #[case::of_another_step("- {case: stage2/race, step: 5, order: EPERM | success, why: x}", 1)]
    fn an_order_that_was_never_seen_is_told_unless_it_is_listed(
        #[case] list: &str,
        #[case] told: usize,
    ) {
        let listed = Listed::read(list).unwrap();
        let unseen = tally().unseen(&listed);
        assert_eq!(unseen.len(), told);
        for unseen in unseen {
            assert_eq!(unseen.case, "stage2/race/functions");
            assert!(
                unseen
                    .to_string()
                    .contains("never ended as `EPERM | success`")
            );
        }
    }

    #[rstest]
    #[case("- {case: stage2/race, step: 4, order: success | EPERM, why: x}", None)]
    #[case("- {case: stage2/other, step: 1, order: 1 first, why: x}", None)]
    #[case(
        "- {case: stage2/race, step: 4, order: 1 first, why: x}",
        Some("no order `1 first` in step 4")
    )]
    fn an_entry_that_fits_no_race_is_told(#[case] list: &str, #[case] says: Option<&str>) {
        let wrong = tally().misnamed(&Listed::read(list).unwrap()).join("\n");
        assert!(wrong.contains(says.unwrap_or_default()), "{wrong}");
        assert_eq!(wrong.is_empty(), says.is_none(), "{wrong}");
    }

    #[rstest]
    #[case("- {case: x, step: 1, order: 1 first}", "missing field `why`")]
    #[case("- {case: x, step: 1, order: 1 first, why: x, wy: x}", "unknown field")]
    fn a_mistake_in_the_list_is_told(#[case] text: &str, #[case] says: &str) {
        let error = Listed::read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
