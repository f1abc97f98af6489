//! The picture as DOT, the language of graphviz.

use std::fmt::{self, Write};

use model::view::{Meets, Stage};

use crate::picture::{
    graph::{Link, Node, Picture, StateGraph},
    labels::{self, FILLS, Row, worst},
    result::TransitionResult,
    style::{FONT, background, fill},
};

/// Writes the picture as DOT.
pub fn dot(picture: &Picture) -> String {
    let mut writer = Writer::default();
    writer.line(format_args!("digraph protocol {{"));
    writer.line(format_args!(
        "rankdir=LR; nodesep=0.22; ranksep=0.55; fontname={FONT:?}; labelloc=t; labeljust=l; label={};",
        html(&picture.rows(), "LEFT")
    ));
    writer.line(format_args!(
        "node [shape=box; style=\"filled,rounded\"; fontname={FONT:?}; margin=\"0.09,0.05\"];"
    ));
    writer.line(format_args!("edge [fontname={FONT:?}; arrowsize=0.7];"));
    // Graphviz puts the last cluster at the top.
    for stage in [Stage::GroupPath, Stage::Two, Stage::One] {
        writer.stage(picture, stage);
    }
    writer.legend(picture);
    writer.line(format_args!("}}"));
    writer.0
}

#[derive(Default)]
struct Writer(String);

impl Writer {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "{line}");
    }

    fn stage(&mut self, picture: &Picture, stage: Stage) {
        let graphs = picture.graphs.iter().enumerate();
        let mut own = graphs.filter(|(_, graph)| graph.stage == stage).peekable();
        if own.peek().is_none() {
            return;
        }
        self.line(format_args!(
            "subgraph cluster_{stage:?} {{ label=<<B>{}</B>>; fontsize=18; labeljust=l; color=\"#999999\";",
            labels::stage(stage)
        ));
        for (number, graph) in own {
            self.graph(number, graph);
        }
        self.line(format_args!("}}"));
    }

    fn graph(&mut self, number: usize, graph: &StateGraph) {
        self.line(format_args!(
            "subgraph cluster_{number} {{ label={}; labeljust=l; color=\"#bbbbbb\"; style=filled; fillcolor=\"{}\";",
            html(&graph.rows(), "LEFT"),
            background(graph.stage)
        ));
        self.nodes(number, graph, graph.stage);
        if graph.nodes.iter().any(|it| it.stage == Stage::GroupPath) {
            self.line(format_args!(
                "subgraph cluster_{number}_path {{ label=<{}>; fontsize=13; style=filled; fillcolor=\"{}\";",
                labels::stage(Stage::GroupPath),
                background(Stage::GroupPath)
            ));
            self.nodes(number, graph, Stage::GroupPath);
            self.line(format_args!("}}"));
        }
        for link in graph.links() {
            self.link(number, &link);
        }
        self.line(format_args!("}}"));
    }

    fn nodes(&mut self, graph: usize, of: &StateGraph, stage: Stage) {
        for (number, node) in of.nodes.iter().enumerate() {
            if node.stage == stage {
                self.node(graph, number, node);
            }
        }
    }

    fn node(&mut self, graph: usize, number: usize, node: &Node) {
        let result = worst(&node.stays);
        self.line(format_args!(
            "n{graph}_{number} [label={}; fillcolor=\"{}\"; {}; tooltip={}];",
            html(&node.rows(), "LEFT"),
            node.fill(),
            line_style(result, "filled,rounded"),
            quoted(&node.tooltip())
        ));
    }

    fn link(&mut self, graph: usize, link: &Link<'_>) {
        let tooltip = quoted(&link.tooltip());
        let ends = match (link.ahead, link.back) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "forward",
            (None, _) => "back",
        };
        self.line(format_args!(
            "n{graph}_{} -> n{graph}_{} [dir={ends}; label={}; {}; tooltip={tooltip}; labeltooltip={tooltip}];",
            link.left,
            link.right,
            html(&link.rows(), "LEFT"),
            line_style(link.result(), "")
        ));
    }

    fn legend(&mut self, picture: &Picture) {
        self.line(format_args!(
            "subgraph cluster_legend {{ label=\"\"; color=\"#ffffff00\"; node [shape=point; style=invis; width=0.01];"
        ));
        for result in picture.results() {
            let stroke = result.stroke();
            self.line(format_args!(
                "l{result:?} -> m{result:?} [label=<<FONT COLOR=\"{}\" POINT-SIZE=\"12\"> {}{} </FONT>>; {}];",
                stroke.colour,
                stroke.mark,
                result.text(),
                line_style(result, "")
            ));
        }
        let cell = |(meets, words): (Meets, &str)| {
            format!("<TD BGCOLOR=\"{}\">{}</TD>", fill(meets), escaped(words))
        };
        let cells: String = FILLS.into_iter().map(cell).collect();
        self.line(format_args!(
            "fills [shape=plain; style=solid; label=<<TABLE CELLSPACING=\"0\" CELLPADDING=\"5\"><TR><TD BORDER=\"0\">DMA:</TD>{cells}</TR></TABLE>>];"
        ));
        self.line(format_args!("}}"));
    }
}

fn line_style(result: TransitionResult, base: &str) -> String {
    let stroke = result.stroke();
    let dash = stroke.dash.map_or("", |_| "dashed");
    let both: Vec<_> = [base, dash]
        .into_iter()
        .filter(|it| !it.is_empty())
        .collect();
    format!(
        "color=\"{}\"; penwidth={}; style=\"{}\"",
        stroke.colour,
        stroke.width,
        both.join(",")
    )
}

/// Rows as a label of graphviz's own markup.
fn html(rows: &[Row], align: &str) -> String {
    let mut text = "<<TABLE BORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"1\">".to_owned();
    for row in rows {
        let fill = row
            .fill
            .map_or_else(String::new, |it| format!(" BGCOLOR=\"{it}\""));
        let _ = write!(
            text,
            "<TR><TD ALIGN=\"{align}\"{fill}><FONT COLOR=\"{}\" POINT-SIZE=\"{}\">",
            row.colour, row.size
        );
        // An empty <B> is an error of syntax.
        if !row.strong.is_empty() {
            let _ = write!(text, "<B>{}</B>", escaped(&row.strong));
        }
        let _ = write!(text, "{}</FONT></TD></TR>", escaped(&row.plain));
    }
    text + "</TABLE>>"
}

/// Escapes text for a label in markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;")
}

/// Quotes text as a string of DOT. In a tooltip, `&#10;` ends a line.
fn quoted(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "&#10;");
    format!("\"{text}\"")
}
