//! The possible states after events that raced.

use std::{collections::BTreeSet, iter};

use crate::{
    event::Event,
    rules::{Answer, Rule, decide},
    state::State,
    world::World,
};

/// Maximum number of possible states; races that lead to more are not followed.
const MOST: usize = 6;

/// The states that a world may be in. There are several only after events that raced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Possible(BTreeSet<State>);

/// The possible outcomes of two events at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Race {
    /// The possible answers to both events.
    pub ends: BTreeSet<[Answer; 2]>,
    /// The states that may follow.
    pub next: Possible,
    /// What the answers tell about the state, each with other states. The first is that of the
    /// first event before the second one.
    pub told: Vec<Told>,
}

/// Answers to two events that raced, and the states that may follow if these are given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The answers.
    pub ends: BTreeSet<[Answer; 2]>,
    /// The states that may follow.
    pub next: Possible,
}

impl Race {
    /// Sorts the outcomes by what the answers tell.
    fn new(outcomes: Vec<([Answer; 2], State)>) -> Self {
        let mut by_ends: Vec<([Answer; 2], BTreeSet<State>)> = Vec::new();
        for (ends, state) in &outcomes {
            match by_ends.iter_mut().find(|(known, _)| known == ends) {
                Some((_, states)) => {
                    states.insert(state.clone());
                }
                None => by_ends.push((*ends, BTreeSet::from([state.clone()]))),
            }
        }
        let mut told: Vec<Told> = Vec::new();
        for (ends, states) in by_ends {
            match told.iter_mut().find(|one| one.next.0 == states) {
                Some(one) => {
                    one.ends.insert(ends);
                }
                None => told.push(Told {
                    ends: BTreeSet::from([ends]),
                    next: Possible(states),
                }),
            }
        }
        Self {
            ends: outcomes.iter().map(|(ends, _)| *ends).collect(),
            next: Possible(outcomes.into_iter().map(|(_, state)| state).collect()),
            told,
        }
    }
}

impl Possible {
    /// Returns the initial state of a world.
    pub fn initial(world: &World) -> Self {
        Self(BTreeSet::from([State::initial(world)]))
    }

    /// Returns all possible states.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.0.iter()
    }

    /// Returns the events that can be issued in all possible states.
    pub fn events(&self, world: &World) -> Vec<Event> {
        let mut states = self.0.iter();
        let first = states.next().map(|state| world.events(state));
        let mut events = first.unwrap_or_default();
        for state in states {
            let also = world.events(state);
            events.retain(|event| also.contains(event));
        }
        events
    }

    /// Returns the rule that decides an event, and the states that follow. Returns `None` if the
    /// answer depends on the state.
    pub fn step(&self, rules: &[Rule], world: &World, event: Event) -> Option<(Rule, Self)> {
        let mut next = BTreeSet::new();
        let mut decided: Option<Rule> = None;
        for state in &self.0 {
            let outcome = decide(rules, world, state, event)?;
            let rule = *decided.get_or_insert(outcome.rule);
            if rule.answer != outcome.rule.answer {
                return None;
            }
            next.insert(outcome.next);
        }
        decided.map(|rule| (rule, Self(next)))
    }

    /// Returns the outcomes of two events at once, each of which may be the first. Returns `None`
    /// if one of them cannot be issued after the other, or if too many states would be possible.
    pub fn race(&self, rules: &[Rule], world: &World, events: [Event; 2]) -> Option<Race> {
        let [one, other] = events;
        let mut outcomes = Vec::new();
        for state in &self.0 {
            for swapped in [false, true] {
                let [first, second] = if swapped { [other, one] } else { events };
                let (answers, after) = in_order(rules, world, state, first, second)?;
                let overlap = overlap(rules, world, state, first, second);
                let overlap = overlap.map(|answers| (answers, state.clone()));
                for ([first, second], after) in iter::once((answers, after)).chain(overlap) {
                    let ends = if swapped {
                        [second, first]
                    } else {
                        [first, second]
                    };
                    outcomes.push((ends, after));
                }
            }
        }
        let race = Race::new(outcomes);
        (race.next.0.len() <= MOST).then_some(race)
    }
}

/// Returns an outcome that neither order has: an event that fails blocks the other one while it
/// runs, so that both fail. A bind blocks the group's own path until it fails
/// (`vfio_device_block_group()`).
fn overlap(
    rules: &[Rule],
    world: &World,
    state: &State,
    one: Event,
    other: Event,
) -> Option<[Answer; 2]> {
    let (Event::Bind(device, _), Event::OpenGroup(group)) = (one, other) else {
        return None;
    };
    let bind = decide(rules, world, state, one)?.rule.answer;
    let open = decide(rules, world, state, other)?.rule.answer;
    let meet = world.group_of(device) == group && bind != Answer::Ok && open == Answer::Ok;
    meet.then_some([bind, Answer::Errno("EBUSY")])
}

fn in_order(
    rules: &[Rule],
    world: &World,
    state: &State,
    first: Event,
    second: Event,
) -> Option<([Answer; 2], State)> {
    let can = |state: &State, event| world.events(state).contains(&event);
    if !can(state, first) || !can(state, second) {
        return None;
    }
    let between = decide(rules, world, state, first)?;
    if !can(&between.next, second) {
        return None;
    }
    let after = decide(rules, world, &between.next, second)?;
    Some(([between.rule.answer, after.rule.answer], after.next))
}
