//! `--graph FILE`: the states and transitions of the worlds as a picture.
//!
//! States are merged by symmetry and by a [`model::view::View`], refusals are listed at their
//! state, and everything has the colour of what became of it. One [`Picture`] is drawn by
//! graphviz where that is installed, and by a crate where it is not.

mod dot;
mod face;
mod layout;
mod outcome;
mod output;
mod scene;
mod style;
mod svg;

pub use dot::dot;
pub use outcome::{Outcome, Tally, outcomes};
pub use output::{PictureError, PictureFile};
pub use scene::{Arrow, Line, Link, Node, Picture, Scene};
pub use svg::svg;
