//! All reachable states of a world and every transition between them.

use std::collections::{HashMap, VecDeque};

use crate::{
    event::Event,
    rules::{Rule, decide},
    state::State,
    world::World,
};

/// One transition. An event that fails leads back to its own state.
#[derive(Debug, Clone, Copy)]
pub struct Edge {
    /// Position of the state before.
    pub from: usize,
    /// What user space does.
    pub event: Event,
    /// The rule that decides.
    pub rule: Rule,
    /// Position of the state after.
    pub to: usize,
}

/// The reachable part of a world.
#[derive(Debug, Clone)]
pub struct Graph {
    /// States, in the order in which they were found. The first is the initial one.
    pub states: Vec<State>,
    /// Transitions; those of a state are next to each other.
    pub edges: Vec<Edge>,
    /// Position of the first edge of each state, with one more entry at the end.
    first: Vec<usize>,
}

/// An event that no rule decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unruled {
    /// The state in which it can happen.
    pub state: Box<State>,
    /// The event that no rule decides there.
    pub event: Event,
}

impl std::fmt::Display for Unruled {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(to, "no rule decides `{}` in {:?}", self.event, self.state)
    }
}

impl std::error::Error for Unruled {}

impl Graph {
    /// Explores a world breadth first.
    pub fn explore(world: &World, rules: &[Rule]) -> Result<Self, Unruled> {
        let initial = State::initial(world);
        let mut found = HashMap::from([(initial.clone(), 0)]);
        let mut graph = Self {
            states: vec![initial],
            edges: Vec::new(),
            first: Vec::new(),
        };
        let mut queue = VecDeque::from([0]);
        while let Some(from) = queue.pop_front() {
            graph.first.push(graph.edges.len());
            let state = graph.states[from].clone();
            for event in world.events(&state) {
                let Some(outcome) = decide(rules, world, &state, event) else {
                    let state = Box::new(state);
                    return Err(Unruled { state, event });
                };
                let to = *found.entry(outcome.next.clone()).or_insert_with(|| {
                    graph.states.push(outcome.next);
                    queue.push_back(graph.states.len() - 1);
                    graph.states.len() - 1
                });
                graph.edges.push(Edge {
                    from,
                    event,
                    rule: outcome.rule,
                    to,
                });
            }
        }
        graph.first.push(graph.edges.len());
        Ok(graph)
    }

    /// Positions of the transitions that leave a state.
    pub fn leaving(&self, state: usize) -> std::ops::Range<usize> {
        self.first[state]..self.first[state + 1]
    }
}
