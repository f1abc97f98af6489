//! The layout without graphviz: worlds one below the other, each laid out from left to right.

use dagre::{
    EdgeLabel, LayoutOptions, NodeLabel, RankDir,
    graph::{Graph, GraphOptions},
};
use model::view::Stage;

use crate::picture::{graph::StateGraph, labels::Row};

/// Width of a character relative to its size, with a margin for the usual fonts.
const CHARACTER: f64 = 0.57;
const BOLD_CHARACTER: f64 = 0.63;
/// Height of a row relative to its size.
pub const LEADING: f64 = 1.3;
/// Between text and border of a node.
pub const PADDING: f64 = 7.0;

/// A place, by its upper left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// From the left.
    pub x: f64,
    /// From the top.
    pub y: f64,
    /// To the right.
    pub width: f64,
    /// To the bottom.
    pub height: f64,
}

/// The path of a link.
#[derive(Debug, Clone, PartialEq)]
pub struct Way {
    /// From border to border, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Where its text is.
    pub label: Area,
}

/// A graph with the positions of everything in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    /// Of the whole.
    pub width: f64,
    /// Of the whole.
    pub height: f64,
    /// As the graph's.
    pub nodes: Vec<Area>,
    /// As the graph's links.
    pub links: Vec<Way>,
    /// Around the states in which the group's own node is used.
    pub path: Option<Area>,
}

/// Width and height of some rows.
pub fn extent(rows: &[Row]) -> (f64, f64) {
    let width = |row: &Row| {
        let bold = row.strong.chars().count() as f64 * BOLD_CHARACTER;
        (bold + row.plain.chars().count() as f64 * CHARACTER) * row.size as f64
    };
    let height = |row: &Row| row.size as f64 * LEADING;
    (
        rows.iter().map(width).fold(0.0, f64::max),
        rows.iter().map(height).sum(),
    )
}

const PATH: &str = "path";

fn name(node: usize) -> String {
    node.to_string()
}

/// Lays out a graph.
pub fn place(states: &StateGraph) -> Placed {
    let mut graph = request(states);
    let options = LayoutOptions {
        rankdir: RankDir::LR,
        nodesep: 26.0,
        edgesep: 12.0,
        ranksep: 50.0,
        ..LayoutOptions::default()
    };
    dagre::layout(&mut graph, Some(options));
    let nodes = (0..states.nodes.len()).map(|number| area(&graph, &name(number)));
    let links = states.links();
    let mut placed = Placed {
        width: 0.0,
        height: 0.0,
        nodes: nodes.collect(),
        links: links
            .iter()
            .map(|it| way(&graph, it.left, it.right))
            .collect(),
        path: graph.has_node(PATH).then(|| area(&graph, PATH)),
    };
    placed.fit();
    placed
}

/// Builds the graph to lay out: sizes and connections.
fn request(states: &StateGraph) -> Graph<NodeLabel, EdgeLabel> {
    let mut graph = Graph::with_options(GraphOptions {
        directed: true,
        multigraph: true,
        compound: true,
    });
    if states.nodes.iter().any(|it| it.stage == Stage::GroupPath) {
        graph.set_node(PATH, Some(NodeLabel::default()));
    }
    for (number, node) in states.nodes.iter().enumerate() {
        let (width, height) = extent(&node.rows());
        let label = NodeLabel {
            width: width + 2.0 * PADDING,
            height: height + 2.0 * PADDING,
            ..NodeLabel::default()
        };
        graph.set_node(name(number), Some(label));
        if node.stage == Stage::GroupPath {
            graph.set_parent(&name(number), Some(PATH));
        }
    }
    for link in states.links() {
        let (width, height) = extent(&link.rows());
        let label = EdgeLabel {
            width: width + 4.0,
            height: height + 4.0,
            labelpos: dagre::layout::types::LabelPos::Center,
            ..EdgeLabel::default()
        };
        graph.set_edge(name(link.left), name(link.right), Some(label), None);
    }
    graph
}

fn centred(x: Option<f64>, y: Option<f64>, width: f64, height: f64) -> Area {
    Area {
        x: x.unwrap_or_default() - width / 2.0,
        y: y.unwrap_or_default() - height / 2.0,
        width,
        height,
    }
}

fn area(graph: &Graph<NodeLabel, EdgeLabel>, node: &str) -> Area {
    let found = graph.node(node).cloned().unwrap_or_default();
    centred(found.x, found.y, found.width, found.height)
}

fn way(graph: &Graph<NodeLabel, EdgeLabel>, from: usize, to: usize) -> Way {
    let found = graph.edge(&name(from), &name(to), None);
    let found = found.cloned().unwrap_or_default();
    Way {
        points: found.points.iter().map(|it| (it.x, it.y)).collect(),
        label: centred(found.x, found.y, found.width, found.height),
    }
}

impl Placed {
    /// Moves everything so that no coordinate is negative, and measures it.
    fn fit(&mut self) {
        let areas = || {
            self.nodes
                .iter()
                .chain(self.links.iter().map(|it| &it.label))
                .chain(&self.path)
        };
        let points = || self.links.iter().flat_map(|it| &it.points);
        let left = areas()
            .map(|it| it.x)
            .chain(points().map(|it| it.0))
            .fold(0.0, f64::min);
        let top = areas()
            .map(|it| it.y)
            .chain(points().map(|it| it.1))
            .fold(0.0, f64::min);
        let right = areas()
            .map(|it| it.x + it.width)
            .chain(points().map(|it| it.0))
            .fold(0.0, f64::max);
        let bottom = areas()
            .map(|it| it.y + it.height)
            .chain(points().map(|it| it.1))
            .fold(0.0, f64::max);
        (self.width, self.height) = (right - left, bottom - top);
        let labels = self.links.iter_mut().map(|it| &mut it.label);
        for area in self.nodes.iter_mut().chain(&mut self.path).chain(labels) {
            (area.x, area.y) = (area.x - left, area.y - top);
        }
        for point in self.links.iter_mut().flat_map(|it| &mut it.points) {
            *point = (point.0 - left, point.1 - top);
        }
    }
}
