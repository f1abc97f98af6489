//! `cargo xtask explore`: the model's worlds, walked on a real kernel.

mod cli;
mod course;
mod drawn;
mod error;
mod keep;
mod options;
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
mod walking;
mod words;

pub use cli::main;
pub use course::{Course, Move};
pub use drawn::{Hand, seed_of_now};
pub use options::ExploreOptions;
pub use plan::{Plan, Walked, scripts, take_records, write};
pub use random::{Divergence, Ended, Tester, WalkError, Walker};
pub use script::{Script, Seen, course, script};
pub use sight::Sight;
