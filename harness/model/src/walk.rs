//! Finds few long walks that take every transition.

use std::collections::VecDeque;

use crate::graph::Graph;

/// Positions of transitions in [`Graph::edges`]; the first leaves the initial state.
pub type Walk = Vec<usize>;

/// Marks of the transitions of a graph: which were taken, and which are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeMarks {
    taken: Vec<bool>,
    closed: Vec<bool>,
}

impl EdgeMarks {
    /// Returns marks in which no transition is taken or closed.
    pub fn new(graph: &Graph) -> Self {
        let none = vec![false; graph.edges.len()];
        Self {
            taken: none.clone(),
            closed: none,
        }
    }

    /// Marks a transition as taken.
    pub fn take(&mut self, edge: usize) {
        if let Some(taken) = self.taken.get_mut(edge) {
            *taken = true;
        }
    }

    /// Closes a transition that diverges, so that no further walk takes it. Returns whether it was
    /// open before.
    pub fn close(&mut self, edge: usize) -> bool {
        match self.closed.get_mut(edge) {
            Some(closed) => !std::mem::replace(closed, true),
            None => false,
        }
    }

    /// Whether it was taken.
    pub fn is_taken(&self, edge: usize) -> bool {
        self.taken.get(edge).copied().unwrap_or_default()
    }

    /// Whether it was closed.
    pub fn is_closed(&self, edge: usize) -> bool {
        self.closed.get(edge).copied().unwrap_or_default()
    }

    /// Returns the number of transitions that were taken and not closed.
    pub fn count(&self) -> usize {
        let both = self.taken.iter().zip(&self.closed);
        both.filter(|(taken, closed)| **taken && !**closed).count()
    }

    fn is_new(&self, edge: usize) -> bool {
        !self.is_taken(edge) && !self.is_closed(edge)
    }
}

/// Returns walks from the initial state, each of about `length` transitions at most. Together they
/// take every transition that is not yet taken and can be reached without a closed one.
///
/// Each continues with a transition not yet taken, or along the shortest path to the nearest one.
pub fn walks(graph: &Graph, length: usize, mut marks: EdgeMarks) -> Vec<Walk> {
    let mut walks = Vec::new();
    loop {
        let walk = one_walk(graph, length, &mut marks);
        if walk.is_empty() {
            return walks;
        }
        walks.push(walk);
    }
}

fn one_walk(graph: &Graph, length: usize, marks: &mut EdgeMarks) -> Walk {
    let mut at = 0;
    let mut walk = Walk::new();
    while walk.len() < length {
        let way = way_to(graph, at, marks, |edge| marks.is_new(edge));
        if way.is_empty() {
            break;
        }
        for edge in way {
            marks.take(edge);
            at = graph.edges[edge].to;
            walk.push(edge);
        }
    }
    walk
}

/// Returns the shortest path from the initial state that ends with a transition.
pub fn shortest(graph: &Graph, edge: usize) -> Walk {
    way_to(graph, 0, &EdgeMarks::new(graph), |other| other == edge)
}

/// Returns the shortest path whose last transition is a wanted one. Transitions that stay in a
/// state come first, so that its failing events are tried before it is left.
fn way_to(graph: &Graph, from: usize, marks: &EdgeMarks, wanted: impl Fn(usize) -> bool) -> Walk {
    let mut came = vec![None; graph.states.len()];
    let mut queue = VecDeque::from([from]);
    let mut seen = vec![false; graph.states.len()];
    seen[from] = true;
    while let Some(at) = queue.pop_front() {
        let ends = graph.leaving(at).filter(|edge| wanted(*edge));
        if let Some(edge) = ends.min_by_key(|edge| graph.edges[*edge].to != at) {
            return way_back(graph, from, edge, &came);
        }
        for edge in graph.leaving(at).filter(|edge| !marks.is_closed(*edge)) {
            let to = graph.edges[edge].to;
            if !seen[to] {
                seen[to] = true;
                came[to] = Some(edge);
                queue.push_back(to);
            }
        }
    }
    Walk::new()
}

fn way_back(graph: &Graph, from: usize, last: usize, came: &[Option<usize>]) -> Walk {
    let mut way = vec![last];
    let mut at = graph.edges[last].from;
    while at != from {
        let Some(edge) = came[at] else { break };
        way.push(edge);
        at = graph.edges[edge].from;
    }
    way.reverse();
    way
}
