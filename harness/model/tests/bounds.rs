//! The size of the bounded worlds, and what holds in every state of them.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::HashSet;

use model::{Answer, Domain, EdgeMarks, Graph, Owner, Reading, Shape, World, shortest, walks};
use rstest::rstest;

#[rstest]
#[case(World::singleton(), 597, 6622)]
#[case(World::group(Shape::Bridge), 314, 4154)]
#[case(World::group(Shape::Functions), 314, 4154)]
#[case(World::group_path(Shape::Bridge), 80, 913)]
#[case(World::group_path(Shape::Functions), 80, 913)]
#[case(World::two_groups(), 245, 4634)]
#[case(World::mdev(), 108, 978)]
#[case(World::resettable(), 4, 22)]
#[case(World::hot_reset(), 16, 176)]
#[case(World::hotplug(), 20, 119)]
#[case(World::kernel_driver(), 14, 96)]
#[case(World::translated(), 90, 851)]
#[case(World::direct_mapped(), 93, 1091)]
#[case(World::resets(), 16, 200)]
#[case(World::arrivals(), 25, 240)]
#[case(World::page_tables(), 120, 1766)]
#[case(World::pasids(), 226, 5154)]
#[case(World::page_table_lifetime(), 82, 885)]
fn the_worlds_are_as_big_as_they_were(
    #[case] world: World,
    #[case] states: usize,
    #[case] transitions: usize,
) {
    let graph = Graph::explore(&world, &Reading::Stage2.rules()).unwrap();
    assert_eq!(
        (graph.states.len(), graph.edges.len()),
        (states, transitions)
    );
}

fn graphs() -> impl Iterator<Item = (World, Graph)> {
    World::all().into_iter().map(|world| {
        let graph = Graph::explore(&world, &Reading::Stage2.rules()).unwrap();
        (world, graph)
    })
}

#[test]
fn walks_take_every_transition_and_are_connected() {
    for (world, graph) in graphs() {
        let mut taken = HashSet::new();
        for walk in walks(&graph, 250, EdgeMarks::new(&graph)) {
            let mut at = 0;
            for edge in walk {
                assert_eq!(graph.edges[edge].from, at, "{}", world.name);
                at = graph.edges[edge].to;
                taken.insert(edge);
            }
        }
        assert_eq!(taken.len(), graph.edges.len(), "{}", world.name);
    }
}

/// Around a transition that is closed walks find what can be reached without it.
#[test]
fn walks_go_around_what_is_closed() {
    let graph = Graph::explore(&World::mdev(), &Reading::Stage2.rules()).unwrap();
    let way_in = |event: &model::Event| matches!(event, model::Event::Open(_));
    let closed: Vec<_> = (0..graph.edges.len())
        .filter(|edge| way_in(&graph.edges[*edge].event))
        .collect();
    let mut marks = EdgeMarks::new(&graph);
    assert!(closed.iter().all(|edge| marks.close(*edge)));
    let taken: HashSet<_> = walks(&graph, 250, marks).concat().into_iter().collect();
    assert!(!taken.is_empty());
    for edge in taken {
        let from = &graph.states[graph.edges[edge].from];
        assert!(from.devices.iter().all(|device| device.is_idle()));
        assert!(!closed.contains(&edge));
    }
}

#[test]
fn the_shortest_way_ends_with_its_transition() {
    for (_, graph) in graphs() {
        for edge in (0..graph.edges.len()).step_by(97) {
            let way = shortest(&graph, edge);
            assert_eq!(way.last(), Some(&edge));
            let mut states = way.iter().map(|edge| graph.edges[*edge].from);
            assert_eq!(states.next(), Some(0));
        }
    }
}

#[test]
fn a_refusal_changes_nothing() {
    for (_, graph) in graphs() {
        for edge in &graph.edges {
            assert!(
                edge.rule.answer == Answer::Ok || edge.from == edge.to,
                "{edge:?}"
            );
        }
    }
}

/// S2.7a, S3.4: one owner, and one domain for the whole group, as long as one device is bound.
#[test]
fn a_group_has_one_owner_and_one_address_space() {
    for (world, graph) in graphs() {
        for state in &graph.states {
            for group in world.all_groups() {
                let pts: HashSet<_> = state
                    .bindings(&world, group)
                    .filter_map(model::Binding::attached)
                    .collect();
                assert!(pts.len() <= 1, "{state:?}");
                assert!(pts.iter().all(|pt| state.exists(*pt)), "{state:?}");
                let bound = state.bindings(&world, group).next().is_some();
                let default = state.domain(&world, group) == Domain::Default;
                assert!(!(bound && default), "{state:?}");
            }
        }
    }
}

/// S2.5c: the kernel's drivers and user space exclude each other.
#[test]
fn nobody_owns_a_group_with_a_kernel_driver() {
    for (world, graph) in graphs() {
        for state in &graph.states {
            for group in world
                .all_groups()
                .filter(|group| state.groups[group.0].on_kernel_driver)
            {
                assert_eq!(state.owner(&world, group), Owner::Nobody, "{state:?}");
            }
        }
    }
}

#[test]
fn every_rule_decides_somewhere() {
    let used: HashSet<_> = graphs()
        .flat_map(|(_, graph)| graph.edges)
        .map(|edge| edge.rule.name)
        .collect();
    let rules = Reading::Stage2.rules();
    let names: HashSet<_> = rules.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules.len(), "two rules of one name");
    let idle: Vec<_> = names.difference(&used).collect();
    assert!(idle.is_empty(), "{idle:?}");
}

/// The strict reading lets no device of a larger group be bound.
#[test]
fn stage_1_refuses_groups_of_several_devices() {
    let world = World::group(Shape::Bridge);
    let graph = Graph::explore(&world, &Reading::Stage1.rules()).unwrap();
    let owned = |state: &model::State| state.owner(&world, model::Group(0)) != Owner::Nobody;
    assert!(!graph.states.iter().any(owned));
    let single = World::singleton();
    let strict = Graph::explore(&single, &Reading::Stage1.rules()).unwrap();
    let plain = Graph::explore(&single, &Reading::Stage2.rules()).unwrap();
    assert_eq!(strict.states, plain.states);
}
