//! Few long walks that take every transition.

use std::collections::VecDeque;

use crate::graph::Graph;

/// Positions of transitions in [`Graph::edges`]; the first leaves the initial state.
pub type Walk = Vec<usize>;

/// Walks from the initial state that together take every transition at least once, each of
/// at most about `length` transitions.
///
/// Each goes on with a transition not yet taken, or along the shortest way to the nearest.
#[must_use]
pub fn walks(graph: &Graph, length: usize) -> Vec<Walk> {
    let mut taken = vec![false; graph.edges.len()];
    let mut walks = Vec::new();
    loop {
        let walk = one_walk(graph, length, &mut taken);
        if walk.is_empty() {
            return walks;
        }
        walks.push(walk);
    }
}

fn one_walk(graph: &Graph, length: usize, taken: &mut [bool]) -> Walk {
    let mut at = 0;
    let mut walk = Walk::new();
    while walk.len() < length {
        let way = way_to_new(graph, at, taken);
        if way.is_empty() {
            break;
        }
        for edge in way {
            taken[edge] = true;
            at = graph.edges[edge].to;
            walk.push(edge);
        }
    }
    walk
}

/// The shortest way whose last transition is new; those that stay come first, so that a
/// state's refusals are seen before it is left.
fn way_to_new(graph: &Graph, from: usize, taken: &[bool]) -> Walk {
    let mut came = vec![None; graph.states.len()];
    let mut queue = VecDeque::from([from]);
    let mut seen = vec![false; graph.states.len()];
    seen[from] = true;
    while let Some(at) = queue.pop_front() {
        let new = graph.leaving(at).filter(|edge| !taken[*edge]);
        if let Some(edge) = new.min_by_key(|edge| graph.edges[*edge].to != at) {
            return way_back(graph, from, edge, &came);
        }
        for edge in graph.leaving(at) {
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
