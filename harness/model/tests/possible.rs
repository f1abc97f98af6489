//! What is known when events race.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::BTreeSet;

use model::{
    Answer, Device, Event, Group, Ioas, Iommu, Possible, Pt, Reading, Rule, Shape, State, World,
    decide,
};
use proptest::prelude::*;
use rstest::rstest;

const A: Device = Device(0);
const B: Device = Device(1);
const IOAS0: Pt = Pt::Ioas(Ioas(0));
const IOAS1: Pt = Pt::Ioas(Ioas(1));

fn rules() -> Vec<Rule> {
    Reading::Stage2.rules()
}

fn world() -> World {
    World::group(Shape::Functions)
}

fn after(events: &[Event]) -> Possible {
    events
        .iter()
        .fold(Possible::initial(&world()), |possible, event| {
            possible.step(&rules(), &world(), *event).unwrap().1
        })
}

const OK: Answer = Answer::Ok;
const EPERM: Answer = Answer::Errno("EPERM");
const EINVAL: Answer = Answer::Errno("EINVAL");
const EBUSY: Answer = Answer::Errno("EBUSY");

/// S2.6: of two binds to different iommu_fds the first has the group; who that is, is open.
#[rstest]
#[case::two_iommu_fds(
    &[Event::Open(A), Event::Open(B)],
    [Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(1))],
    &[[OK, EPERM], [EPERM, OK]],
    2
)]
#[case::one_iommu_fd(
    &[Event::Open(A), Event::Open(B)],
    [Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(0))],
    &[[OK, OK]],
    1
)]
#[case::two_ioases(
    &[Event::Open(A), Event::Open(B), Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(0))],
    [Event::Attach(A, IOAS0), Event::Attach(B, IOAS1)],
    &[[OK, EINVAL], [EINVAL, OK]],
    2
)]
#[case::the_kernel_or_the_user(
    &[Event::Open(A)],
    [Event::Bind(A, Iommu(0)), Event::KernelDriver(Group(0))],
    &[[OK, EBUSY], [EPERM, OK]],
    2
)]
fn both_orders_are_possible(
    #[case] before: &[Event],
    #[case] events: [Event; 2],
    #[case] ends: &[[Answer; 2]],
    #[case] states: usize,
) {
    let race = after(before).race(&rules(), &world(), events).unwrap();
    assert_eq!(race.ends, ends.iter().copied().collect::<BTreeSet<_>>());
    assert_eq!(race.next.states().count(), states);
}

/// The answers say who won; where both orders give the same answers, they say nothing.
#[rstest]
#[case::two_iommu_fds(
    &[Event::Open(A), Event::Open(B)],
    [Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(1))],
    &[([OK, EPERM], 1), ([EPERM, OK], 1)],
)]
#[case::one_iommu_fd(
    &[Event::Open(A), Event::Open(B)],
    [Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(0))],
    &[([OK, OK], 1)],
)]
#[case::the_last_of_two_moves_is_not_known(
    &[Event::Open(A), Event::Bind(A, Iommu(0)), Event::Attach(A, IOAS0)],
    [Event::Attach(A, IOAS1), Event::Attach(A, IOAS0)],
    &[([OK, OK], 2)],
)]
fn the_answers_choose_among_the_states(
    #[case] before: &[Event],
    #[case] events: [Event; 2],
    #[case] told: &[([Answer; 2], usize)],
) {
    let race = after(before).race(&rules(), &world(), events).unwrap();
    let seen: Vec<_> = race
        .told
        .iter()
        .map(|one| (one.ends.clone(), one.next.states().count()))
        .collect();
    let expected: Vec<_> = told
        .iter()
        .map(|(ends, states)| (BTreeSet::from([*ends]), *states))
        .collect();
    assert_eq!(seen, expected);
}

/// S2.0: a bind that is refused stands in the way of the group's own path while it lasts.
#[test]
fn two_events_may_refuse_each_other() {
    let mut world = world();
    world.scope.group_path = true;
    let before = [Event::Open(A), Event::KernelDriver(Group(0))];
    let before = before
        .iter()
        .fold(Possible::initial(&world), |possible, event| {
            possible.step(&rules(), &world, *event).unwrap().1
        });
    let events = [Event::OpenGroup(Group(0)), Event::Bind(A, Iommu(0))];
    let race = before.race(&rules(), &world, events).unwrap();
    let ends = [[OK, EBUSY], [OK, EPERM], [EBUSY, EPERM]];
    assert_eq!(race.ends, BTreeSet::from(ends));
    assert_eq!(race.next.states().count(), 2);
}

#[test]
fn what_depends_on_the_winner_has_no_answer_until_nobody_can_tell_any_more() {
    let opened = after(&[Event::Open(A), Event::Open(B)]);
    let binds = [Event::Bind(A, Iommu(0)), Event::Bind(B, Iommu(1))];
    let open = opened.race(&rules(), &world(), binds).unwrap().next;
    assert!(open.step(&rules(), &world(), Event::Access(A)).is_none());
    let closed = [Event::Close(A), Event::Close(B)]
        .iter()
        .fold(open, |it, event| {
            it.step(&rules(), &world(), *event).unwrap().1
        });
    assert_eq!(closed, Possible::initial(&world()));
}

#[test]
fn an_event_that_the_other_makes_impossible_does_not_race() {
    let bound = after(&[Event::Open(A), Event::Bind(A, Iommu(0))]);
    let events = [Event::Close(A), Event::Attach(A, IOAS0)];
    assert!(bound.race(&rules(), &world(), events).is_none());
}

proptest! {
    /// Whatever raced on the way: the state that one real order gives is among those that are
    /// possible, and an event that is decided is decided as in that state.
    #[test]
    fn the_real_state_is_possible(picks in prop::collection::vec(any::<prop::sample::Index>(), 1..40)) {
        let (world, rules) = (World::large(), rules());
        let mut real = State::initial(&world);
        let mut possible = Possible::initial(&world);
        for pair in picks.chunks(2) {
            let events = possible.events(&world);
            let event = *pair[0].get(&events);
            let other = pair.get(1).map(|index| *index.get(&events));
            let race = other.and_then(|other| possible.race(&rules, &world, [event, other]).map(|race| (other, race)));
            if let Some((other, race)) = race {
                let first = decide(&rules, &world, &real, event).unwrap();
                let second = decide(&rules, &world, &first.next, other).unwrap();
                let ends = [first.rule.answer, second.rule.answer];
                prop_assert!(race.ends.contains(&ends));
                let told = race.told.iter().find(|told| told.ends.contains(&ends)).unwrap();
                prop_assert!(told.next.states().any(|state| *state == second.next));
                real = second.next;
                possible = race.next;
            } else if let Some((rule, next)) = possible.step(&rules, &world, event) {
                let outcome = decide(&rules, &world, &real, event).unwrap();
                prop_assert_eq!(rule.answer, outcome.rule.answer);
                real = outcome.next;
                possible = next;
            }
            prop_assert!(possible.states().any(|state| *state == real));
        }
    }
}
