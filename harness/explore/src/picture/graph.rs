//! The picture as data: nodes, arrows, and the transitions that they stand for.

use std::collections::{BTreeMap, HashMap};

use model::{
    Answer, Edge, Rule,
    symmetry::Merged,
    view::{Appearance, Stage, View},
};

use crate::{
    picture::result::{ResultCounts, TransitionResult, results},
    traversal::Traversal,
};

/// Arrows of a world that a reader can follow.
const READABLE: usize = 60;

/// Transitions of one rule that look the same.
#[derive(Debug, Clone)]
pub struct Line {
    /// The rule that decides them.
    pub rule: Rule,
    /// Their results.
    pub counts: ResultCounts,
}

impl Line {
    /// What user space does: the first words of the rule's name.
    pub fn verb(&self) -> &'static str {
        let name = self.rule.name;
        name.split_once(':').map_or(name, |(verb, _)| verb)
    }
}

/// States that look the same.
#[derive(Debug, Clone)]
pub struct Node {
    /// What they look like.
    pub appearance: Appearance,
    /// The stage they belong to.
    pub stage: Stage,
    /// The initial state is one of them.
    pub initial: bool,
    /// Events that fail there, and events that change nothing in the picture.
    pub stays: Vec<Line>,
}

/// Transitions from one node to another.
#[derive(Debug, Clone)]
pub struct Arrow {
    /// Position of the node before.
    pub from: usize,
    /// Position of the node after.
    pub to: usize,
    /// By rule.
    pub lines: Vec<Line>,
}

/// The arrows between two nodes, one each way, which are drawn as one line. Nodes that take more
/// steps to reach are to the right.
#[derive(Debug, Clone, Copy)]
pub struct Link<'a> {
    /// Position of the node on the left.
    pub left: usize,
    /// Position of the node on the right.
    pub right: usize,
    /// From left to right.
    pub ahead: Option<&'a Arrow>,
    /// From right to left.
    pub back: Option<&'a Arrow>,
}

/// The worlds of one drawing, which differ only in details that no rule uses.
#[derive(Debug, Clone)]
pub struct StateGraph {
    /// Their names.
    pub worlds: Vec<&'static str>,
    /// The stage that first has such worlds.
    pub stage: Stage,
    /// States of each.
    pub states: usize,
    /// Transitions of each.
    pub transitions: usize,
    /// States of each that differ by more than names.
    pub merged: usize,
    /// The properties by which states are distinguished.
    pub view: View,
    /// Nodes; the first has the initial state.
    pub nodes: Vec<Node>,
    /// Arrows, in the order in which they were found.
    pub arrows: Vec<Arrow>,
}

/// Everything that is drawn.
#[derive(Debug, Clone)]
pub struct Picture {
    /// In the order of their stages.
    pub graphs: Vec<StateGraph>,
}

impl Picture {
    /// Returns the picture of the model, without results.
    pub fn of_model(traversals: &[Traversal]) -> Self {
        Self::new(traversals, |traversal| {
            vec![TransitionResult::NotRun; traversal.graph.edges.len()]
        })
    }

    /// Returns the picture with the results of the walks.
    pub fn of_walks(traversals: &[Traversal]) -> Self {
        Self::new(traversals, results)
    }

    fn new(
        traversals: &[Traversal],
        results: impl Fn(&Traversal) -> Vec<TransitionResult>,
    ) -> Self {
        let mut graphs: Vec<StateGraph> = Vec::new();
        for traversal in traversals {
            let graph = StateGraph::new(traversal, &results(traversal));
            match graphs.iter_mut().find(|known| known.looks_like(&graph)) {
                Some(known) => known.absorb(graph),
                None => graphs.push(graph),
            }
        }
        graphs.sort_by_key(|graph| graph.stage);
        Self { graphs }
    }

    /// The results of all transitions.
    pub fn counts(&self) -> ResultCounts {
        let mut all = ResultCounts::default();
        for line in self.graphs.iter().flat_map(StateGraph::lines) {
            all.absorb(line.counts.clone());
        }
        all
    }
}

impl StateGraph {
    fn new(traversal: &Traversal, results: &[TransitionResult]) -> Self {
        let merged = Merged::new(&traversal.world, &traversal.graph);
        let view = View::readable(&traversal.world, &merged, READABLE);
        let mut graph = Self {
            worlds: vec![traversal.world.name],
            stage: Stage::of_world(&traversal.world),
            states: traversal.graph.states.len(),
            transitions: traversal.graph.edges.len(),
            merged: merged.states.len(),
            view,
            nodes: Vec::new(),
            arrows: Vec::new(),
        };
        let node_of = graph.add_nodes(traversal, &merged);
        let mut arrow_of = HashMap::new();
        for (edge, result) in traversal.graph.edges.iter().zip(results) {
            let way = (
                node_of[merged.state_of[edge.from]],
                node_of[merged.state_of[edge.to]],
            );
            let world = traversal.world.name;
            count(graph.lines_of(way, &mut arrow_of), edge, *result, world);
        }
        graph
    }

    /// Adds a node for each appearance; returns the node of each merged state.
    fn add_nodes(&mut self, traversal: &Traversal, merged: &Merged) -> Vec<usize> {
        let mut known = HashMap::new();
        let mut node_of = Vec::new();
        for state in &merged.states {
            let appearance = self.view.appearance(&traversal.world, state);
            node_of.push(*known.entry(appearance).or_insert_with_key(|appearance| {
                self.nodes.push(Node {
                    stage: appearance.stage(&traversal.world),
                    appearance: appearance.clone(),
                    initial: self.nodes.is_empty(),
                    stays: Vec::new(),
                });
                self.nodes.len() - 1
            }));
        }
        node_of
    }

    fn lines_of(
        &mut self,
        (from, to): (usize, usize),
        arrow_of: &mut HashMap<(usize, usize), usize>,
    ) -> &mut Vec<Line> {
        if from == to {
            return &mut self.nodes[from].stays;
        }
        let at = *arrow_of.entry((from, to)).or_insert_with(|| {
            self.arrows.push(Arrow {
                from,
                to,
                lines: Vec::new(),
            });
            self.arrows.len() - 1
        });
        &mut self.arrows[at].lines
    }

    /// Returns every arrow, with those between the same nodes combined. From left to right the
    /// links have no cycle.
    pub fn links(&self) -> Vec<Link<'_>> {
        let depths = self.depths();
        let mut links: BTreeMap<(usize, usize), Link<'_>> = BTreeMap::new();
        for arrow in &self.arrows {
            let (from, to) = (arrow.from, arrow.to);
            let is_ahead = (depths[from], from) < (depths[to], to);
            let (left, right) = if is_ahead { (from, to) } else { (to, from) };
            let link = links.entry((left, right)).or_insert(Link {
                left,
                right,
                ahead: None,
                back: None,
            });
            *(if is_ahead {
                &mut link.ahead
            } else {
                &mut link.back
            }) = Some(arrow);
        }
        links.into_values().collect()
    }

    /// Returns the distance of each node in arrows.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![usize::MAX; self.nodes.len()];
        let mut reached = vec![0];
        for depth in 0.. {
            reached.retain(|node: &usize| depths.get(*node) == Some(&usize::MAX));
            if reached.is_empty() {
                break;
            }
            for node in &reached {
                depths[*node] = depth;
            }
            let next = self.arrows.iter().filter(|it| reached.contains(&it.from));
            reached = next.map(|it| it.to).collect();
        }
        depths
    }

    fn lines(&self) -> impl Iterator<Item = &Line> {
        let stays = self.nodes.iter().flat_map(|node| &node.stays);
        stays.chain(self.arrows.iter().flat_map(|arrow| &arrow.lines))
    }

    /// Whether the two differ only in the results of their transitions.
    fn looks_like(&self, other: &Self) -> bool {
        let nodes = |graph: &Self| -> Vec<_> {
            let nodes = graph.nodes.iter();
            nodes
                .map(|it| (it.appearance.clone(), names(&it.stays)))
                .collect()
        };
        let arrows = |graph: &Self| -> Vec<_> {
            let arrows = graph.arrows.iter();
            arrows
                .map(|it| (it.from, it.to, names(&it.lines)))
                .collect()
        };
        (self.states, self.transitions, self.merged, self.view)
            == (other.states, other.transitions, other.merged, other.view)
            && nodes(self) == nodes(other)
            && arrows(self) == arrows(other)
    }

    /// Adds the results of a graph that looks the same.
    fn absorb(&mut self, other: Self) {
        self.worlds.extend(other.worlds);
        for (own, its) in self.nodes.iter_mut().zip(other.nodes) {
            absorb(&mut own.stays, its.stays);
        }
        for (own, its) in self.arrows.iter_mut().zip(other.arrows) {
            absorb(&mut own.lines, its.lines);
        }
    }
}

fn names(lines: &[Line]) -> Vec<(&'static str, usize)> {
    let total = |counts: &ResultCounts| {
        let ResultCounts {
            not_run,
            conforms,
            not_covered,
            diverged,
        } = counts;
        not_run + conforms + not_covered + diverged.len()
    };
    lines
        .iter()
        .map(|line| (line.rule.name, total(&line.counts)))
        .collect()
}

fn absorb(own: &mut [Line], its: Vec<Line>) {
    for (own, its) in own.iter_mut().zip(its) {
        own.counts.absorb(its.counts);
    }
}

fn count(lines: &mut Vec<Line>, edge: &Edge, result: TransitionResult, world: &str) {
    let known = lines.iter().position(|it| it.rule.name == edge.rule.name);
    let at = known.unwrap_or_else(|| {
        lines.push(Line {
            rule: edge.rule,
            counts: ResultCounts::default(),
        });
        lines.len() - 1
    });
    let words = || format!("{} ({world})", edge.event);
    lines[at].counts.add(result, words);
}

/// Returns the errno of a failed event as text, or `None` for success.
pub(super) const fn refusal(answer: Answer) -> Option<&'static str> {
    match answer {
        Answer::Ok => None,
        Answer::Errno(name) => Some(name),
        Answer::Refused => Some("refused"),
    }
}
