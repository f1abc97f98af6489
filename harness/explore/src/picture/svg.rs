//! The picture as SVG, drawn without graphviz.

use std::fmt::{self, Write};

use model::view::Stage;

use crate::picture::{
    graph::{Link, Node, Picture, StateGraph},
    labels::{self, FILLS, Row, worst},
    layout::{Area, LEADING, PADDING, Placed, extent, place},
    result::TransitionResult,
    style::{FONT, INK, Stroke, background, fill},
};

/// Around boxes.
const MARGIN: f64 = 14.0;

/// Draws the picture.
pub fn svg(picture: &Picture) -> String {
    let mut page = Page::default();
    page.title(picture);
    for stage in [Stage::One, Stage::Two, Stage::GroupPath] {
        page.stage(picture, stage);
    }
    page.whole()
}

/// A page that grows downwards.
#[derive(Default)]
struct Page {
    body: String,
    width: f64,
    y: f64,
}

impl Page {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.body, "{line}");
    }

    fn whole(self) -> String {
        let (width, height) = ((self.width + MARGIN).ceil(), (self.y + MARGIN).ceil());
        let mut markers = String::new();
        for result in TransitionResult::ALL {
            let colour = result.stroke().colour;
            let _ = writeln!(
                markers,
                "<marker id=\"{result:?}\" viewBox=\"0 0 10 10\" refX=\"9\" refY=\"5\" markerUnits=\"userSpaceOnUse\" \
                 markerWidth=\"9\" markerHeight=\"9\" orient=\"auto-start-reverse\"><path d=\"M0 1 10 5 0 9z\" fill=\"{colour}\"/></marker>"
            );
        }
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FONT}\">\n\
             <defs>\n{markers}</defs>\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{}</svg>\n",
            self.body
        )
    }

    fn reach(&mut self, x: f64) {
        self.width = self.width.max(x);
    }

    /// Writes rows, the first of which is below `y`.
    fn rows(&mut self, rows: &[Row], x: f64, y: f64) {
        let mut y = y;
        for row in rows {
            let size = row.size as f64;
            if let Some(fill) = row.fill {
                let (width, height) = extent(std::slice::from_ref(row));
                self.line(format_args!(
                    "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\" fill=\"{fill}\"/>",
                    x - 2.0,
                    width + 4.0
                ));
            }
            let strong = match row.strong.as_str() {
                "" => String::new(),
                strong => format!("<tspan font-weight=\"bold\">{}</tspan>", escaped(strong)),
            };
            self.line(format_args!(
                "<text x=\"{x:.1}\" y=\"{:.1}\" font-size=\"{size}\" fill=\"{}\" xml:space=\"preserve\">{strong}{}</text>",
                size.mul_add(0.98, y),
                row.colour,
                escaped(&row.plain)
            ));
            y += size * LEADING;
        }
    }

    fn title(&mut self, picture: &Picture) {
        let rows = picture.rows();
        let (width, height) = extent(&rows);
        self.rows(&rows, MARGIN, MARGIN);
        self.reach(width + MARGIN);
        self.y = height + 1.5 * MARGIN;
        self.legend(picture);
    }

    fn legend(&mut self, picture: &Picture) {
        let (mut x, y) = (MARGIN, self.y);
        for result in picture.results() {
            let stroke = result.stroke();
            let row = Row::new(stroke.mark, result.text(), stroke.colour, 12);
            let way = format!("M{x:.1} {:.1}h56", y + 8.0);
            self.stroke(&way, result, (false, true));
            self.rows(std::slice::from_ref(&row), x + 64.0, y);
            x += 64.0 + extent(std::slice::from_ref(&row)).0 + 24.0;
        }
        for (meets, words) in FILLS {
            let words = format!("DMA: {words}");
            let row = Row::new("", &words, INK, 12);
            let (width, height) = extent(std::slice::from_ref(&row));
            let area = Area {
                x,
                y: y - 2.0,
                width: width + 12.0,
                height: height + 4.0,
            };
            self.rect(area, 3.0, fill(meets), "#888888");
            self.rows(&[row], x + 6.0, y);
            x += width + 24.0;
        }
        self.reach(x);
        self.y += 2.5 * MARGIN;
    }

    fn rect(&mut self, area: Area, radius: f64, fill: &str, stroke: &str) {
        let Area {
            x,
            y,
            width,
            height,
        } = area;
        self.line(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" fill=\"{fill}\" stroke=\"{stroke}\"/>"
        ));
    }

    /// A line, with a head at its start, at its end, or at both.
    fn stroke(&mut self, way: &str, result: TransitionResult, (start, end): (bool, bool)) {
        let stroke = result.stroke();
        let dash = dashes(stroke);
        let head = |there: bool, which: &str| match there {
            true => format!(" marker-{which}=\"url(#{result:?})\""),
            false => String::new(),
        };
        self.line(format_args!(
            "<path d=\"{way}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\"{dash}{}{}/>",
            stroke.colour,
            stroke.width,
            head(start, "start"),
            head(end, "end")
        ));
    }

    fn stage(&mut self, picture: &Picture, stage: Stage) {
        let own: Vec<_> = picture
            .graphs
            .iter()
            .filter(|it| it.stage == stage)
            .collect();
        if own.is_empty() {
            return;
        }
        let heading = Row::new(labels::stage(stage), "", INK, 18);
        self.rows(&[heading], MARGIN, self.y);
        self.y += 2.0 * MARGIN;
        for graph in own {
            self.graph(graph);
        }
    }

    fn graph(&mut self, graph: &StateGraph) {
        let rows = graph.rows();
        let placed = place(graph);
        let (title_width, title_height) = extent(&rows);
        let top = self.y + title_height + 1.5 * MARGIN;
        let frame = Area {
            x: MARGIN,
            y: self.y,
            width: placed.width.max(title_width) + 2.0 * MARGIN,
            height: top - self.y + placed.height + 2.0 * MARGIN,
        };
        self.rect(frame, 0.0, background(graph.stage), "#bbbbbb");
        self.rows(&rows, 2.0 * MARGIN, self.y + 0.5 * MARGIN);
        self.line(format_args!(
            "<g transform=\"translate({:.1} {top:.1})\">",
            2.0 * MARGIN
        ));
        self.inside(graph, &placed);
        self.line(format_args!("</g>"));
        self.reach(frame.x + frame.width);
        self.y = frame.y + frame.height + MARGIN;
    }

    fn inside(&mut self, graph: &StateGraph, placed: &Placed) {
        if let Some(area) = placed.path {
            self.rect(area, 0.0, background(Stage::GroupPath), "#bbbbbb");
            let heading = Row::new(labels::stage(Stage::GroupPath), "", INK, 12);
            self.rows(&[heading], area.x + 6.0, area.y + 2.0);
        }
        // Draw lines first, so that none covers text.
        let links = graph.links();
        for (link, way) in links.iter().zip(&placed.links) {
            let ends = (link.back.is_some(), link.ahead.is_some());
            self.stroke(&curve(&way.points), link.result(), ends);
        }
        for (link, way) in links.iter().zip(&placed.links) {
            self.label(link, way.label, background(graph.stage));
        }
        for (node, area) in graph.nodes.iter().zip(&placed.nodes) {
            self.node(node, *area);
        }
    }

    fn tooltip(&mut self, text: &str) {
        self.line(format_args!("<g><title>{}</title>", escaped(text)));
    }

    fn label(&mut self, link: &Link<'_>, area: Area, under: &str) {
        self.tooltip(&link.tooltip());
        let Area {
            x,
            y,
            width,
            height,
        } = area;
        self.line(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{under}\" fill-opacity=\"0.9\"/>"
        ));
        self.rows(&link.rows(), x + 2.0, y + 2.0);
        self.line(format_args!("</g>"));
    }

    fn node(&mut self, node: &Node, area: Area) {
        let stroke = worst(&node.stays).stroke();
        let dash = dashes(stroke);
        self.tooltip(&node.tooltip());
        let Area {
            x,
            y,
            width,
            height,
        } = area;
        self.line(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"7\" fill=\"{}\" \
             stroke=\"{}\" stroke-width=\"{}\"{dash}/>",
            node.fill(),
            stroke.colour,
            stroke.width
        ));
        self.rows(&node.rows(), x + PADDING, y + PADDING);
        self.line(format_args!("</g>"));
    }
}

fn dashes(stroke: Stroke) -> String {
    let dash = stroke.dash;
    dash.map_or_else(String::new, |it| format!(" stroke-dasharray=\"{it}\""))
}

/// Returns a smooth curve through the points.
fn curve(points: &[(f64, f64)]) -> String {
    let [first, .., last] = points else {
        return String::new();
    };
    let mut way = format!("M{:.1} {:.1}", first.0, first.1);
    for pair in points.windows(2).skip(1) {
        let [(x, y), (next_x, next_y)] = pair else {
            continue;
        };
        let (to_x, to_y) = (f64::midpoint(*x, *next_x), f64::midpoint(*y, *next_y));
        let _ = write!(way, "Q{x:.1} {y:.1} {to_x:.1} {to_y:.1}");
    }
    let _ = write!(way, "L{:.1} {:.1}", last.0, last.1);
    way
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
