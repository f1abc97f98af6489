//! `--graph FILE`: the states and transitions of the worlds as a picture.
//!
//! States are merged by symmetry and by a [`model::view::View`], refusals are listed at their
//! state, and the colour shows the result. A [`Picture`] is drawn by graphviz if that is installed,
//! and otherwise by a crate.

mod dot;
mod graph;
mod labels;
mod layout;
mod output;
mod result;
mod style;
mod svg;

pub use dot::dot;
pub use graph::{Arrow, Line, Link, Node, Picture, StateGraph};
pub use output::{PictureError, PictureFile};
pub use result::{ResultCounts, TransitionResult, results};
pub use svg::svg;
