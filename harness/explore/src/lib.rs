//! The model's worlds, walked on a real kernel.
//!
//! Exhaustive walks take every transition of a world, random walks go through one that is too
//! large for that, with events that race. A walk is written as a case, and judged as one. What
//! diverges is minimized, and kept as a case and as a C program.

mod course;
mod drawn;
mod error;
mod keep;
pub mod picture;
mod plan;
mod probe;
mod progress;
mod random;
mod readback;
mod report;
mod script;
mod shrink;
mod sight;
mod walk_all;
mod walking;
mod words;

pub use course::{Course, Move};
pub use drawn::{Hand, RandomWalks, seed_of_now};
pub use error::ExploreError;
pub use plan::{Plan, Walked, scripts, take_records, write};
pub use random::{Divergence, Ended, Tester, WalkError, Walker};
pub use report::list;
pub use script::{Script, Seen, course, script};
pub use sight::Sight;
pub use walk_all::walk_all;
