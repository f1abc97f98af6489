//! Judges what was observed of a case.
//!
//! [`steps`] compares each op's outcome with its expectation while the case runs. [`verdict`]
//! combines the result with the end of the case, the kernel log and the snapshot into one verdict.
//! [`exact`] compares what was seen with a known failure.

pub mod comparison;
pub mod description;
pub mod exact;
mod injected;
mod mock_device;
pub mod race;
pub mod steps;
mod values;
pub mod verdict;

pub use steps::{Failure, Failures, StepJudge, Steps};
pub use verdict::{Judgement, Known, judge};
