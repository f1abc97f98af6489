//! Walks that are drawn at random, event by event; some events race.

use std::{fmt, sync::Arc};

use model::{Event, Possible, Race, Rule, World};
use proptest::{
    prelude::{BoxedStrategy, Just, Strategy},
    sample::select,
    strategy::Union,
};
use proptest_state_machine::Sequential;

use crate::case_language::CaseLanguage;

/// What user space does in one step of a walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// One event.
    One(Event),
    /// Two events at once, each in its own thread.
    Race([Event; 2]),
}

impl fmt::Display for Move {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(event) => write!(to, "{event}"),
            Self::Race([one, other]) => write!(to, "{one} | {other}"),
        }
    }
}

/// A move, and the outcome that the model demands.
#[derive(Debug, Clone)]
pub enum Played {
    /// The rule that decides.
    One(Event, Rule),
    /// The outcomes that the order may lead to.
    Race([Event; 2], Race),
}

/// A walk, and the states that it may have reached.
#[derive(Clone)]
pub struct RandomWalk {
    /// The same throughout the walk.
    setting: Arc<Setting>,
    possible: Possible,
}

struct Setting {
    world: World,
    rules: Vec<Rule>,
}

/// The world and the rules are left out: they are long, and the same throughout the walk.
impl fmt::Debug for RandomWalk {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("RandomWalk").field(&self.possible).finish()
    }
}

impl RandomWalk {
    /// The beginning of every walk through a world.
    pub fn begin(world: World, rules: Vec<Rule>) -> Self {
        let possible = Possible::initial(&world);
        let setting = Arc::new(Setting { world, rules });
        Self { setting, possible }
    }

    /// The world.
    pub fn world(&self) -> &World {
        &self.setting.world
    }

    /// The states that it may have reached.
    pub const fn possible(&self) -> &Possible {
        &self.possible
    }

    /// Returns the walk in one of these states, as the answers of a race have told.
    pub fn told(&self, possible: &Possible) -> Self {
        Self {
            setting: Arc::clone(&self.setting),
            possible: possible.clone(),
        }
    }

    /// Returns the outcome of a move, and the walk after it, or `None` if the move cannot be made
    /// here.
    pub fn play(&self, one: Move) -> Option<(Played, Self)> {
        let Setting { world, rules } = &*self.setting;
        let (played, possible) = match one {
            Move::One(event) => {
                if !self.possible.events(world).contains(&event) {
                    return None;
                }
                let (rule, next) = self.possible.step(rules, world, event)?;
                (Played::One(event, rule), next)
            }
            Move::Race(events) => {
                let language = CaseLanguage(world);
                if !events.iter().all(|event| language.single(*event).is_some()) {
                    return None;
                }
                let race = self.possible.race(rules, world, events)?;
                let next = race.next.clone();
                (Played::Race(events, race), next)
            }
        };
        let setting = Arc::clone(&self.setting);
        Some((played, Self { setting, possible }))
    }

    /// The events that have an answer here: those that change something, and the others.
    fn events(&self) -> (Vec<Event>, Vec<Event>) {
        let Setting { world, rules } = &*self.setting;
        let events = self.possible.events(world).into_iter();
        let decided = events.filter_map(|event| {
            let (_, next) = self.possible.step(rules, world, event)?;
            Some((event, next != self.possible))
        });
        let (changing, idle): (Vec<_>, Vec<_>) = decided.partition(|(_, changes)| *changes);
        let only = |pairs: Vec<(Event, bool)>| pairs.into_iter().map(|(event, _)| event).collect();
        (only(changing), only(idle))
    }

    /// The events that may race with this one.
    fn rivals(&self, event: Event) -> Vec<Event> {
        let others = self.possible.events(self.world()).into_iter();
        let races = |other: &Event| self.play(Move::Race([event, *other])).is_some();
        others.filter(races).collect()
    }

    /// Returns the moves that can be made next. Most change the state, so that the walk gets far;
    /// some fail or race.
    fn moves(&self) -> BoxedStrategy<Move> {
        let (changing, idle) = self.events();
        let mut choices = Vec::new();
        if !changing.is_empty() {
            let here = self.clone();
            let race = select(changing.clone()).prop_flat_map(move |event| here.race_of(event));
            choices.push((4, select(changing).prop_map(Move::One).boxed()));
            choices.push((2, race.boxed()));
        }
        if !idle.is_empty() {
            choices.push((1, select(idle).prop_map(Move::One).boxed()));
        }
        // No shrinking: an earlier event in the list is not simpler.
        Union::new_weighted(choices).no_shrink().boxed()
    }

    fn race_of(&self, event: Event) -> BoxedStrategy<Move> {
        match self.rivals(event) {
            rivals if rivals.is_empty() => Just(Move::One(event)).boxed(),
            rivals => select(rivals)
                .prop_map(move |other| Move::Race([event, other]))
                .boxed(),
        }
    }
}

/// Walks of this length from a beginning, for proptest to draw.
pub fn walks(
    begin: RandomWalk,
    length: usize,
) -> Sequential<RandomWalk, Move, Just<RandomWalk>, BoxedStrategy<Move>> {
    Sequential::new(
        (length..=length).into(),
        move || Just(begin.clone()),
        |walk, one| walk.play(*one).is_some(),
        RandomWalk::moves,
        |walk, one| match walk.play(*one) {
            Some((_, next)) => next,
            None => walk,
        },
    )
}
