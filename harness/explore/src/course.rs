//! Courses: walks that are drawn at random, event by event, some of them two at once.

use std::{fmt, sync::Arc};

use model::{Event, Possible, Race, Rule, World};
use proptest::{
    prelude::{BoxedStrategy, Just, Strategy},
    sample::select,
    strategy::Union,
};
use proptest_state_machine::Sequential;

use crate::words::Words;

/// What user space does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// One thing.
    One(Event),
    /// Two things at once, in threads of their own.
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

/// A move, and what has to come of it.
#[derive(Debug, Clone)]
pub enum Played {
    /// The rule that decides.
    One(Event, Rule),
    /// What the order may make of it.
    Race([Event; 2], Race),
}

/// How far a walk has come.
#[derive(Clone)]
pub struct Course {
    /// The same for the whole walk.
    field: Arc<Field>,
    possible: Possible,
}

struct Field {
    world: World,
    rules: Vec<Rule>,
}

/// The field of a course is the same for all; where it is, is what tells two apart.
impl fmt::Debug for Course {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.debug_tuple("Course").field(&self.possible).finish()
    }
}

impl Course {
    /// The beginning of every walk through a world.
    #[must_use]
    pub fn begin(world: World, rules: Vec<Rule>) -> Self {
        let possible = Possible::initial(&world);
        let field = Arc::new(Field { world, rules });
        Self { field, possible }
    }

    /// What there is.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.field.world
    }

    /// Where it is.
    #[must_use]
    pub const fn possible(&self) -> &Possible {
        &self.possible
    }

    /// What comes of a move, and where the course is then. None where it cannot be made here.
    #[must_use]
    pub fn play(&self, one: Move) -> Option<(Played, Self)> {
        let Field { world, rules } = &*self.field;
        let (played, possible) = match one {
            Move::One(event) => {
                if !self.possible.events(world).contains(&event) {
                    return None;
                }
                let (rule, next) = self.possible.step(rules, world, event)?;
                (Played::One(event, rule), next)
            }
            Move::Race(events) => {
                let words = Words(world);
                if !events.iter().all(|event| words.single(*event).is_some()) {
                    return None;
                }
                let race = self.possible.race(rules, world, events)?;
                let next = race.next.clone();
                (Played::Race(events, race), next)
            }
        };
        let field = Arc::clone(&self.field);
        Some((played, Self { field, possible }))
    }

    /// Every single event that has an answer here; those that change something first.
    fn events(&self) -> (Vec<Event>, Vec<Event>) {
        let Field { world, rules } = &*self.field;
        let events = self.possible.events(world).into_iter();
        let decided = events.filter_map(|event| {
            let (_, next) = self.possible.step(rules, world, event)?;
            Some((event, next != self.possible))
        });
        let (changing, idle): (Vec<_>, Vec<_>) = decided.partition(|(_, changes)| *changes);
        let only = |pairs: Vec<(Event, bool)>| pairs.into_iter().map(|(event, _)| event).collect();
        (only(changing), only(idle))
    }

    /// The events that may be made at once with this one.
    fn rivals(&self, event: Event) -> Vec<Event> {
        let others = self.possible.events(self.world()).into_iter();
        let races = |other: &Event| self.play(Move::Race([event, *other])).is_some();
        others.filter(races).collect()
    }

    /// What may be made next. Changes are what a walk lives on; refusals and races are met on
    /// the way.
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
        // An event that stands earlier in a list is not a simpler one.
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

/// Walks of so many moves that start there, for proptest to draw.
pub fn walks(
    begin: Course,
    length: usize,
) -> Sequential<Course, Move, Just<Course>, BoxedStrategy<Move>> {
    Sequential::new(
        (length..=length).into(),
        move || Just(begin.clone()),
        |course, one| course.play(*one).is_some(),
        Course::moves,
        |course, one| match course.play(*one) {
            Some((_, next)) => next,
            None => course,
        },
    )
}
