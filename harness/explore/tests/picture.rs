//! The picture of the model: what is in it, and that it can be read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test panics to fail"
)]

mod common;

use common::{diverge, passed, record};
use explore::{
    Traversal, WalkCase,
    picture::{Picture, PictureFile, TransitionResult, dot, svg},
};
use model::{Reading, Shape, World, view::Stage};
use rstest::rstest;
use runner::verdict::Verdict;

fn traversals(worlds: Vec<World>) -> Vec<Traversal> {
    let rules = Reading::Stage2.rules();
    let traversal = |world| Traversal::new(world, &rules).unwrap();
    worlds.into_iter().map(traversal).collect()
}

fn drawn(traversals: &mut [Traversal], walked: &[WalkCase]) -> Picture {
    for one in walked {
        traversals[one.traversal].learn(one);
    }
    Picture::of_walks(traversals)
}

#[test]
fn the_dot_of_a_small_world() {
    let picture = Picture::of_model(&traversals(vec![World::resettable()]));
    insta::assert_snapshot!("resettable", dot(&picture));
}

#[test]
fn a_world_is_small_enough_to_read() {
    for traversal in traversals(World::all()) {
        let name = traversal.world.name;
        let picture = Picture::of_model(&[traversal]);
        let [graph] = picture.graphs.as_slice() else {
            unreachable!("one traversal is one graph")
        };
        assert!((3..=80).contains(&graph.nodes.len()), "{name}");
        assert!(graph.arrows.len() <= 80, "{name}: {}", graph.arrows.len());
    }
}

/// Nothing is lost on the way from the graph to the picture, and worlds that differ only in
/// their shape are drawn once.
#[test]
fn every_transition_is_in_the_picture() {
    let traversals = traversals(World::all());
    let picture = Picture::of_model(&traversals);
    let edges: usize = traversals
        .iter()
        .map(|traversal| traversal.graph.edges.len())
        .sum();
    assert_eq!(picture.counts().count(TransitionResult::NotRun), edges);
    let drawn: usize = picture.graphs.iter().map(|it| it.worlds.len()).sum();
    assert_eq!(drawn, traversals.len());
    let both = ["group behind a bridge", "group of functions"];
    assert!(picture.graphs.iter().any(|it| it.worlds == both));
}

#[rstest]
#[case(World::singleton(), Stage::One, true)]
#[case(World::mdev(), Stage::One, false)]
#[case(World::resettable(), Stage::One, false)]
#[case(World::hotplug(), Stage::One, false)]
#[case(World::group(Shape::Functions), Stage::Two, false)]
#[case(World::group_path(Shape::Bridge), Stage::Two, true)]
#[case(World::two_groups(), Stage::Two, false)]
fn states_are_grouped_by_stage(
    #[case] world: World,
    #[case] stage: Stage,
    #[case] group_path: bool,
) {
    let picture = Picture::of_model(&traversals(vec![world]));
    let graph = &picture.graphs[0];
    assert_eq!(graph.stage, stage);
    assert_eq!(graph.nodes[0].stage, stage, "nothing is open at first");
    let other = |stage| graph.nodes.iter().any(|it| it.stage == stage);
    assert_eq!(other(Stage::GroupPath), group_path);
}

#[test]
fn what_passed_conforms() {
    let mut traversals = traversals(vec![World::resettable(), World::mdev()]);
    let counts = {
        let walked = passed(&traversals);
        drawn(&mut traversals, &walked)
    }
    .counts();
    let edges: usize = traversals
        .iter()
        .map(|traversal| traversal.graph.edges.len())
        .sum();
    assert_eq!(counts.count(TransitionResult::Conforms), edges);
}

#[test]
fn a_walk_that_fails_has_diverged_there_and_covers_nothing_after() {
    let mut traversals = traversals(vec![World::resettable()]);
    let mut walked = passed(&traversals);
    assert_eq!(walked.len(), 1);
    diverge(&mut walked[0], 5);
    let picture = drawn(&mut traversals, &walked);
    let counts = picture.counts();
    assert_eq!(counts.count(TransitionResult::Diverged), 1);
    let edge = &traversals[0].graph.edges[traversals[0].walks[0][5]];
    assert_eq!(counts.diverged, [format!("{} (resettable)", edge.event)]);
    assert!(counts.count(TransitionResult::Conforms) > 0);
    assert!(counts.count(TransitionResult::NotCovered) > 0);
    for text in [dot(&picture), svg(&picture)] {
        assert!(text.contains("\u{2260} "), "{text}");
        assert!(text.contains(&format!("{} (resettable)", edge.event)));
    }
}

/// One of two worlds of a drawing is enough, and it is named.
#[test]
fn of_worlds_drawn_once_the_worse_counts() {
    let mut traversals = traversals(vec![
        World::group(Shape::Bridge),
        World::group(Shape::Functions),
    ]);
    let mut walked = passed(&traversals);
    let second = walked.iter_mut().find(|one| one.traversal == 1).unwrap();
    diverge(second, 0);
    let picture = drawn(&mut traversals, &walked);
    assert_eq!(picture.graphs.len(), 1);
    let diverged = picture.counts().diverged;
    assert_eq!(diverged.len(), 1);
    assert!(
        diverged[0].ends_with("(group of functions)"),
        "{diverged:?}"
    );
}

#[test]
fn a_walk_without_verdict_covers_nothing() {
    let mut traversals = traversals(vec![World::resettable()]);
    let mut walked = passed(&traversals);
    walked[0].record = Some(record(walked[0].id(), Verdict::Hang, None));
    let counts = drawn(&mut traversals, &walked).counts();
    assert_eq!(
        counts.count(TransitionResult::NotCovered),
        traversals[0].graph.edges.len()
    );
}

/// What the crate draws is well-formed, the same each time, and has every node and arrow.
#[test]
fn all_worlds_are_drawn_without_graphviz() {
    for traversal in traversals(World::all()) {
        let name = traversal.world.name;
        let picture = Picture::of_model(&[traversal]);
        let text = svg(&picture);
        assert_eq!(text, svg(&picture), "{name}");
        let document = roxmltree::Document::parse(&text).expect(name);
        let titles = document.descendants().filter(|it| it.has_tag_name("title"));
        let graph = &picture.graphs[0];
        assert_eq!(titles.count(), graph.nodes.len() + graph.links().len());
        assert!(!text.contains("NaN"), "{name}");
    }
}

/// Left, top, right and bottom of every node: the boxes with such corners.
fn boxes(document: &roxmltree::Document<'_>) -> Vec<[f64; 4]> {
    let number = |node: &roxmltree::Node<'_, '_>, name| -> f64 {
        node.attribute(name).unwrap().parse().unwrap()
    };
    document
        .descendants()
        .filter(|it| it.has_tag_name("rect") && it.attribute("rx") == Some("7"))
        .map(|it| {
            let (x, y) = (number(&it, "x"), number(&it, "y"));
            [x, y, x + number(&it, "width"), y + number(&it, "height")]
        })
        .collect()
}

#[test]
fn no_node_is_on_another() {
    for traversal in traversals(World::all()) {
        let name = traversal.world.name;
        let picture = Picture::of_model(&[traversal]);
        let text = svg(&picture);
        let boxes = boxes(&roxmltree::Document::parse(&text).expect(name));
        assert_eq!(boxes.len(), picture.graphs[0].nodes.len());
        for (at, one) in boxes.iter().enumerate() {
            for other in &boxes[..at] {
                let beside = one[2] < other[0] || other[2] < one[0];
                let above = one[3] < other[1] || other[3] < one[1];
                assert!(beside || above, "{name}: {one:?} {other:?}");
            }
        }
    }
}

#[test]
fn a_file_has_the_rights_of_any_other_and_what_was_there_stays_until_it_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.dot");
    std::fs::write(&path, "before").unwrap();
    let target = PictureFile::new(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before");
    let picture = Picture::of_model(&traversals(vec![World::resettable()]));
    target.write(&picture).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), dot(&picture));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let beside = folder.path().join("beside");
    std::fs::write(&beside, "").unwrap();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions();
    assert_eq!(mode(&path), mode(&beside));
}

#[rstest]
#[case::no_ending("picture", "end in .svg, or in .dot")]
#[case::another_ending("picture.png", "end in .svg, or in .dot")]
#[case::no_folder("none/picture.svg", "cannot be written")]
#[case::a_folder("folder.svg", "cannot be written")]
fn a_file_that_cannot_be_is_refused_at_once(#[case] name: &str, #[case] says: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("folder.svg")).unwrap();
    let error = PictureFile::new(&folder.path().join(name)).unwrap_err();
    assert!(error.to_string().contains(says), "{error}");
}
