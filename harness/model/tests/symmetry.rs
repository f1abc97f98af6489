//! States that differ only in names are one, and nothing else is.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::HashSet;

use model::{
    Answer, Binding, Container, Driver, Event, Graph, Iommu, Presence, Reading, Shape, State,
    World, decide,
    state::{DeviceState, File, GroupState},
    symmetry::{Merged, Symmetry},
    view::{Stage, View},
};
use proptest::{collection::vec, option, prelude::*};
use rstest::rstest;

fn graph(world: &World) -> Graph {
    Graph::explore(world, &Reading::Stage2.rules()).unwrap()
}

/// Two groups of one spec and two iommu_fds of two IOASes: boxes can be exchanged as well.
fn twins() -> World {
    let mut world = World::two_groups();
    world.groups[1] = world.groups[0];
    world.ioases.push(Iommu(1));
    world
}

fn worlds() -> Vec<World> {
    let mut worlds = World::all();
    worlds.push(twins());
    worlds
}

#[rstest]
#[case::two_ioases(World::singleton(), 2)]
#[case::two_devices_and_two_ioases(World::group(Shape::Bridge), 4)]
#[case::two_devices(World::group_path(Shape::Bridge), 2)]
#[case::a_group_and_a_singleton(World::two_groups(), 4)]
#[case::nothing_is_alike(World::resettable(), 1)]
#[case::groups_and_iommu_fds_too(twins(), 8 * 8)]
#[case::two_devices_and_two_hwpts(World::page_tables(), 4)]
fn as_many_renamings_as_there_are(#[case] world: World, #[case] count: usize) {
    let symmetry = Symmetry::of(&world);
    let all = symmetry.renamings();
    assert_eq!(all.len(), count);
    for (at, renaming) in all.iter().enumerate() {
        assert!(!all[..at].contains(renaming), "{renaming:?}");
        let initial = State::initial(&world);
        assert_eq!(renaming.state(&initial), initial);
    }
}

/// No rule looks at names: under new names a transition leads where its new names say, by
/// the same rule.
#[test]
fn a_renamed_transition_is_a_transition() {
    let rules = Reading::Stage2.rules();
    for world in World::all() {
        let (symmetry, graph) = (Symmetry::of(&world), graph(&world));
        for edge in &graph.edges {
            for renaming in symmetry.renamings() {
                let before = renaming.state(&graph.states[edge.from]);
                let event = renaming.event(edge.event);
                let outcome = decide(&rules, &world, &before, event).unwrap();
                let after = renaming.state(&graph.states[edge.to]);
                assert_eq!(outcome.next, after, "{before:?} {event}");
                assert_eq!(outcome.rule.name, edge.rule.name, "{before:?} {event}");
            }
        }
    }
}

/// Under new names the same can be done, but for one thing: a device that is not bound can
/// name only the first IOAS, which has to be refused.
#[test]
fn events_do_not_look_at_names_where_they_succeed() {
    for world in World::all() {
        let (symmetry, graph) = (Symmetry::of(&world), graph(&world));
        for edge in graph.edges.iter().filter(|it| it.rule.answer == Answer::Ok) {
            for renaming in symmetry.renamings() {
                let events = world.events(&renaming.state(&graph.states[edge.from]));
                assert!(events.contains(&renaming.event(edge.event)), "{edge:?}");
            }
        }
    }
}

/// Each transition has one image, which goes from the image of its state to that of the next.
#[test]
fn a_merged_graph_is_a_quotient() {
    for world in World::all() {
        let (symmetry, graph) = (Symmetry::of(&world), graph(&world));
        let merged = Merged::new(&world, &graph);
        for (state, at) in graph.states.iter().zip(&merged.state_of) {
            assert_eq!(symmetry.canonical(state), merged.states[*at]);
        }
        let mut images = vec![0; graph.edges.len()];
        for edge in &merged.edges {
            for member in &edge.members {
                images[*member] += 1;
                let of = &graph.edges[*member];
                let ends = (merged.state_of[of.from], merged.state_of[of.to]);
                assert_eq!(ends, (edge.from, edge.to), "{}", world.name);
                assert_eq!(graph.edges[edge.members[0]].rule.name, of.rule.name);
            }
        }
        assert!(images.iter().all(|count| *count == 1), "{}", world.name);
    }
}

/// Of any two states that are merged, the same rules lead to the same merged states.
#[test]
fn merged_states_behave_alike() {
    for world in World::all() {
        let graph = graph(&world);
        let merged = Merged::new(&world, &graph);
        let behaviour = |state: usize| -> HashSet<_> {
            let edges = graph.edges[graph.leaving(state)].iter();
            edges
                .map(|it| (it.rule.name, merged.state_of[it.to]))
                .collect()
        };
        let mut known = vec![None; merged.states.len()];
        for (state, at) in merged.state_of.iter().enumerate() {
            let behaviour = behaviour(state);
            let first = known[*at].get_or_insert_with(|| behaviour.clone());
            assert_eq!(*first, behaviour, "{:?}", graph.states[state]);
        }
    }
}

#[rstest]
#[case(World::singleton(), 444)]
#[case(World::group(Shape::Bridge), 132)]
#[case(World::group_path(Shape::Functions), 49)]
#[case(World::two_groups(), 106)]
fn symmetry_leaves_so_many_states(#[case] world: World, #[case] states: usize) {
    assert_eq!(Merged::new(&world, &graph(&world)).states.len(), states);
}

/// States that a coarser view tells apart, a finer one does too.
#[test]
fn a_coarser_view_merges_more() {
    for world in World::all() {
        let states = graph(&world).states;
        for views in View::LADDER.windows(2) {
            let [finer, coarser] = views else { continue };
            let both = |state| {
                (
                    finer.appearance(&world, state),
                    coarser.appearance(&world, state),
                )
            };
            let pairs: HashSet<_> = states.iter().map(both).collect();
            let fine: HashSet<_> = pairs.iter().map(|(fine, _)| fine).collect();
            assert_eq!(fine.len(), pairs.len(), "{}", world.name);
        }
    }
}

/// The stage of a state follows from what it looks like: only the group path's own rules,
/// S1.0 alone, lead into it, and while it is in use no device is bound to an iommu_fd.
#[test]
fn the_group_path_is_entered_by_its_own_rules() {
    for world in World::all() {
        let (graph, [.., view]) = (graph(&world), View::LADDER);
        let stage = |state: usize| view.appearance(&world, &graph.states[state]).stage(&world);
        for edge in &graph.edges {
            let inside = stage(edge.from) == Stage::GroupPath;
            if !inside && stage(edge.to) == Stage::GroupPath {
                assert_eq!(edge.rule.clauses, ["S1.0"], "{edge:?}");
            }
            if inside && matches!(edge.event, Event::Bind(..)) {
                assert_ne!(edge.rule.answer, Answer::Ok, "{edge:?}");
            }
        }
    }
}

fn binding(world: &World) -> impl Strategy<Value = Binding> + use<> {
    let pt = prop::sample::select(world.pts().collect::<Vec<_>>());
    prop_oneof![
        (0..world.iommus, option::of(pt.clone()), option::of(pt)).prop_map(
            |(iommu, attached, pasid)| Binding::Iommufd {
                iommu: Iommu(iommu),
                attached,
                pasid,
            }
        ),
        Just(Binding::Group),
    ]
}

fn device(world: &World) -> impl Strategy<Value = DeviceState> + use<> {
    let file = (option::of(binding(world)), any::<bool>());
    let file = file.prop_map(|(binding, mapped)| File { binding, mapped });
    let presences = [Presence::Here, Presence::Leaving, Presence::Gone];
    let drivers = [Driver::None, Driver::Vfio, Driver::Kernel];
    (
        prop::sample::select(presences.to_vec()),
        prop::sample::select(drivers.to_vec()),
        option::of(file),
        option::of(binding(world)),
    )
        .prop_map(|(presence, driver, file, held)| DeviceState {
            presence,
            driver,
            file,
            held,
        })
}

fn group() -> impl Strategy<Value = GroupState> {
    let containers = [None, Some(Container::Joined), Some(Container::Typed)];
    (
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(containers.to_vec()),
    )
        .prop_map(|(on_kernel_driver, open, container)| GroupState {
            on_kernel_driver,
            open,
            container,
        })
}

/// A world and any state of it, whether it can be reached or not.
fn anywhere() -> impl Strategy<Value = (World, State)> {
    prop::sample::select(worlds()).prop_flat_map(|world| {
        let state = (
            vec(device(&world), world.devices().count()),
            vec(group(), world.groups.len()),
            vec(any::<bool>(), world.iommus),
            vec(any::<bool>(), world.ioases.len()),
            vec(any::<bool>(), world.hwpts.len()),
        );
        state.prop_map(move |(devices, groups, iommus, ioases, hwpts)| {
            let state = State {
                devices,
                groups,
                iommus,
                ioases,
                hwpts,
            };
            (world.clone(), state)
        })
    })
}

proptest! {
    #[test]
    fn new_names_do_not_change_the_canonical_form(
        (world, state) in anywhere(), which in any::<prop::sample::Index>()
    ) {
        let symmetry = Symmetry::of(&world);
        let renamed = which.get(symmetry.renamings()).state(&state);
        prop_assert_eq!(symmetry.canonical(&renamed), symmetry.canonical(&state));
    }

    #[test]
    fn a_canonical_form_is_the_state_under_other_names((world, state) in anywhere()) {
        let symmetry = Symmetry::of(&world);
        let canonical = symmetry.canonical(&state);
        prop_assert!(symmetry.renamings().iter().any(|it| it.state(&state) == canonical));
        prop_assert_eq!(symmetry.canonical(&canonical), canonical);
    }

    /// A group that has its devices under other names looks the same.
    #[test]
    fn no_view_looks_at_names((world, state) in anywhere(), which in any::<prop::sample::Index>()) {
        let symmetry = Symmetry::of(&world);
        let renamed = which.get(symmetry.renamings()).state(&state);
        for view in View::LADDER {
            let groups = |state| {
                let mut groups = view.appearance(&world, state).0;
                groups.sort();
                groups
            };
            prop_assert_eq!(groups(&renamed), groups(&state));
        }
    }
}
