//! A transition counts as covered when a walk that ran has observed it.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

mod common;

use std::collections::BTreeSet;

use common::{diverge, passed, passed_from, record};
use explore::{Traversal, WalkCase};
use model::{Reading, Shape, World};
use rstest::rstest;
use runner::verdict::Verdict;

/// How the first walk ends. All others pass.
#[derive(Debug, Clone, Copy)]
enum First {
    DivergesAt(usize),
    Lost(Verdict),
}

fn end(one: &mut WalkCase, first: First) {
    match first {
        First::DivergesAt(at) => diverge(one, at),
        First::Lost(verdict) => one.record = Some(record(one.id(), verdict, None)),
    }
}

/// The transitions after which a walk that ran has read sysfs or tried DMA.
fn observed(traversal: &Traversal, walked: &[WalkCase]) -> BTreeSet<usize> {
    let mut observed = BTreeSet::new();
    for one in walked {
        let steps = one.script.text.lines();
        let steps = steps.filter(|line| line.starts_with("  - "));
        for (step, transition) in steps.zip(&one.script.transition_of) {
            let looks = step.starts_with("  - read_file: ") || step.starts_with("  - dma: ");
            let ran = transition.is_some_and(|at| at < one.covered(traversal));
            if looks
                && ran
                && let Some(at) = transition
            {
                observed.insert(traversal.walks[one.walk][*at]);
            }
        }
    }
    observed
}

fn taken(traversal: &Traversal) -> BTreeSet<usize> {
    let edges = 0..traversal.graph.edges.len();
    edges
        .filter(|edge| traversal.marks.is_taken(*edge))
        .collect()
}

fn traversal() -> Traversal {
    Traversal::new(World::group(Shape::Functions), &Reading::Stage2.rules()).unwrap()
}

#[rstest]
#[case::it_diverges_at_once(First::DivergesAt(0))]
#[case::it_diverges(First::DivergesAt(40))]
#[case::the_kernel_complains(First::Lost(Verdict::Splat))]
#[case::qemu_crashes(First::Lost(Verdict::Error))]
fn what_a_walk_left_out_is_observed_by_the_next(#[case] first: First) {
    let mut traversals = vec![traversal()];
    let mut walked = passed(&traversals);
    end(&mut walked[0], first);
    for one in &walked {
        traversals[0].learn(one);
    }
    let covered = taken(&traversals[0]);
    assert!(!covered.is_empty());
    assert!(covered.is_subset(&observed(&traversals[0], &walked)));

    let before = traversals[0].walks.len();
    assert_ne!(traversals[0].go_on(1), 0);
    let more = passed_from(&traversals, &[before]);
    for one in &more {
        traversals[0].learn(one);
    }
    walked.extend(more);
    let all = traversals[0].graph.edges.len();
    let closed = (0..all).filter(|edge| traversals[0].marks.is_closed(*edge));
    let covered = taken(&traversals[0]);
    assert_eq!(covered.len() + closed.count(), all);
    assert!(covered.is_subset(&observed(&traversals[0], &walked)));
}
