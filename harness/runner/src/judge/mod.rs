//! Judges what was seen of a case.
//!
//! [`steps`] compares each op's outcome with what was expected of it, once, while the case runs;
//! [`verdict`] makes one verdict of that, the end of the case, the kernel's log and the snapshot.

pub mod comparison;
pub mod description;
mod injected;
mod race;
pub mod steps;
mod values;
pub mod verdict;

pub use steps::{StepJudge, Steps};
pub use verdict::{Judgement, Known, judge};
