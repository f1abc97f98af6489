//! Walks through the model's worlds on a real kernel.
//!
//! Exhaustive walks take every transition of a world. Random walks go through a world that is too
//! large for that, with events that race. A walk is written and judged as a case. Diverging walks
//! are minimized, and stored as a case and as a C program.

pub mod addresses;
mod artifacts;
mod case_language;
mod coverage;
mod error;
mod exhaustive;
mod minimize;
mod observability;
mod orders;
pub mod picture;
mod probe;
mod progress;
mod random;
mod random_walk;
mod readback;
mod report;
mod script;
mod shrink;
mod traversal;
mod walk_all;
mod walk_runner;

pub use error::ExploreError;
pub use minimize::{Divergence, Minimizer};
pub use observability::Observability;
pub use orders::Orders;
pub use random::{RandomWalks, WalkOutcome, seed_of_now};
pub use random_walk::{Move, RandomWalk};
pub use report::list;
pub use script::{Assumed, Extent, Look, Script, Seen};
pub use traversal::{Traversal, WalkCase, take_records, walk_cases, write};
pub use walk_all::walk_all;
pub use walk_runner::{Tester, WalkError, WalkRunner};
