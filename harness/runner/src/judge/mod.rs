//! Judges what was observed of a case.
//!
//! [`steps`] compares each op's outcome with its expectation while the case runs. [`verdict`]
//! combines the result with the end of the case, the kernel log and the snapshot into one verdict.

pub mod comparison;
pub mod description;
mod injected;
mod mock_device;
mod race;
pub mod steps;
mod values;
pub mod verdict;

pub use steps::{StepJudge, Steps};
pub use verdict::{Judgement, Known, judge};
