//! The picture before anybody draws it: nodes, arrows, and what stands at them.

use std::collections::{BTreeMap, HashMap};

use model::{
    Answer, Edge, Rule,
    symmetry::Merged,
    view::{Sight, Stage, View},
};

use crate::{
    picture::outcome::{Outcome, Tally, outcomes},
    plan::Plan,
};

/// Arrows of a world that a reader can follow.
const READABLE: usize = 60;

/// Transitions of one rule that look the same.
#[derive(Debug, Clone)]
pub struct Line {
    /// The rule that decides them.
    pub rule: Rule,
    /// What became of them.
    pub tally: Tally,
}

impl Line {
    /// What user space does: the first words of the rule's name.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        let name = self.rule.name;
        name.split_once(':').map_or(name, |(verb, _)| verb)
    }
}

/// States that look the same.
#[derive(Debug, Clone)]
pub struct Node {
    /// What they look like.
    pub sight: Sight,
    /// The stage they belong to.
    pub stage: Stage,
    /// The initial state is one of them.
    pub initial: bool,
    /// What is refused there, and what changes nothing that can be seen.
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

/// The worlds of one drawing, which differ only in what no rule looks at.
#[derive(Debug, Clone)]
pub struct Scene {
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
    /// What is told apart.
    pub view: View,
    /// The first one has the initial state.
    pub nodes: Vec<Node>,
    /// In the order in which they were found.
    pub arrows: Vec<Arrow>,
}

/// Everything that is drawn.
#[derive(Debug, Clone)]
pub struct Picture {
    /// In the order of their stages.
    pub scenes: Vec<Scene>,
}

impl Picture {
    /// Of the model alone: nothing was run.
    #[must_use]
    pub fn of_model(plans: &[Plan]) -> Self {
        Self::new(plans, |plan| vec![Outcome::NotRun; plan.graph.edges.len()])
    }

    /// With what became of the walks.
    #[must_use]
    pub fn of_walks(plans: &[Plan]) -> Self {
        Self::new(plans, outcomes)
    }

    fn new(plans: &[Plan], outcomes: impl Fn(&Plan) -> Vec<Outcome>) -> Self {
        let mut scenes: Vec<Scene> = Vec::new();
        for plan in plans {
            let scene = Scene::new(plan, &outcomes(plan));
            match scenes.iter_mut().find(|known| known.looks_like(&scene)) {
                Some(known) => known.absorb(scene),
                None => scenes.push(scene),
            }
        }
        scenes.sort_by_key(|scene| scene.stage);
        Self { scenes }
    }

    /// What became of all transitions.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let mut all = Tally::default();
        for line in self.scenes.iter().flat_map(Scene::lines) {
            all.absorb(line.tally.clone());
        }
        all
    }
}

impl Scene {
    fn new(plan: &Plan, outcomes: &[Outcome]) -> Self {
        let merged = Merged::new(&plan.world, &plan.graph);
        let view = View::readable(&plan.world, &merged, READABLE);
        let mut scene = Self {
            worlds: vec![plan.world.name],
            stage: Stage::of_world(&plan.world),
            states: plan.graph.states.len(),
            transitions: plan.graph.edges.len(),
            merged: merged.states.len(),
            view,
            nodes: Vec::new(),
            arrows: Vec::new(),
        };
        let node_of = scene.add_nodes(plan, &merged);
        let mut arrow_of = HashMap::new();
        for (edge, outcome) in plan.graph.edges.iter().zip(outcomes) {
            let way = (
                node_of[merged.state_of[edge.from]],
                node_of[merged.state_of[edge.to]],
            );
            let world = plan.world.name;
            count(scene.lines_of(way, &mut arrow_of), edge, *outcome, world);
        }
        scene
    }

    /// Adds a node for each sight; returns the node of each merged state.
    fn add_nodes(&mut self, plan: &Plan, merged: &Merged) -> Vec<usize> {
        let mut known = HashMap::new();
        let mut node_of = Vec::new();
        for state in &merged.states {
            let sight = self.view.sight(&plan.world, state);
            node_of.push(*known.entry(sight).or_insert_with_key(|sight| {
                self.nodes.push(Node {
                    stage: sight.stage(&plan.world),
                    sight: sight.clone(),
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

    /// Every arrow, those between the same nodes together. Their left and right make no circle.
    #[must_use]
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

    /// How many arrows it takes to each node.
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

    /// Whether the two are the same but for what became of their transitions.
    fn looks_like(&self, other: &Self) -> bool {
        let nodes = |scene: &Self| -> Vec<_> {
            let nodes = scene.nodes.iter();
            nodes
                .map(|it| (it.sight.clone(), names(&it.stays)))
                .collect()
        };
        let arrows = |scene: &Self| -> Vec<_> {
            let arrows = scene.arrows.iter();
            arrows
                .map(|it| (it.from, it.to, names(&it.lines)))
                .collect()
        };
        (self.states, self.transitions, self.merged, self.view)
            == (other.states, other.transitions, other.merged, other.view)
            && nodes(self) == nodes(other)
            && arrows(self) == arrows(other)
    }

    /// Takes over what became of another that looks the same.
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
    let total = |tally: &Tally| {
        let Tally {
            not_run,
            conforms,
            not_covered,
            diverged,
        } = tally;
        not_run + conforms + not_covered + diverged.len()
    };
    lines
        .iter()
        .map(|line| (line.rule.name, total(&line.tally)))
        .collect()
}

fn absorb(own: &mut [Line], its: Vec<Line>) {
    for (own, its) in own.iter_mut().zip(its) {
        own.tally.absorb(its.tally);
    }
}

fn count(lines: &mut Vec<Line>, edge: &Edge, outcome: Outcome, world: &str) {
    let known = lines.iter().position(|it| it.rule.name == edge.rule.name);
    let at = known.unwrap_or_else(|| {
        lines.push(Line {
            rule: edge.rule,
            tally: Tally::default(),
        });
        lines.len() - 1
    });
    let words = || format!("{} ({world})", edge.event);
    lines[at].tally.add(outcome, words);
}

/// The errno of a refusal, in the words of a list; none for what succeeds.
pub(super) const fn refusal(answer: Answer) -> Option<&'static str> {
    match answer {
        Answer::Ok => None,
        Answer::Errno(name) => Some(name),
        Answer::Refused => Some("refused"),
    }
}
