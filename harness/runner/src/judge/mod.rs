//! Judges what was observed of a case.
//!
//! [`steps`] compares each op's outcome with its expectation while the case runs, on each of the
//! sides that a kernel may be on where Linux deviates from the plan of 2021. [`verdict`]
//! combines the result with the end of the case, the kernel log and the snapshot into one verdict.
//! [`exact`] compares what was seen with a known failure.

pub mod comparison;
pub mod description;
pub mod exact;
pub mod failure;
mod injected;
mod mock_device;
pub mod race;
mod sides;
pub mod steps;
mod values;
pub mod verdict;

pub use failure::{Failure, Failures};
pub use steps::{StepJudge, Steps};
pub use verdict::{Judgement, Known, judge};
