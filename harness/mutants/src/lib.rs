//! Mutation testing: `cargo xtask mutants`.
//!
//! Code coverage does not show that a case checks what it reaches. Each mutant of the reviewed list
//! is applied to a copy of the source, built and booted, and the corpus runs on it. Cases that pass
//! on the unchanged kernel but not on the mutant have killed it.

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
