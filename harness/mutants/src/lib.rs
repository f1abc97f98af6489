//! Does the corpus notice small bugs? `cargo xtask mutants`.
//!
//! Reaching a line is not checking it. A mutant of the reviewed list goes into a tree of the
//! tool's own, is built and booted, and the corpus runs on it: cases that pass on the kernel
//! as it is and do not pass here have killed it.

pub mod builder;
pub mod changed;
pub mod edit;
pub mod interrupt;
pub mod list;
pub mod mechanical;
pub mod mutant;
pub mod mutant_runner;
pub mod options;
pub mod order;
pub mod outcome;
pub mod patch;
pub mod report;
pub mod run;
pub mod source;
pub mod together;
