//! The host side of the suite: platforms, QEMU, scheduling, judging and reports.
//!
//! A case is compiled to a plan for one booted guest. The agent's outcomes are collected in an
//! observation, the judge turns it into a verdict, and one stream of events feeds every output.

pub mod accel;
pub mod agent;
mod agent_target;
pub mod allowed;
pub mod baseline;
pub mod boards;
pub mod build_failure;
pub mod checks;
pub mod complaints;
pub mod configuration;
pub mod counters;
pub mod event;
pub mod exit;
pub mod findings;
pub mod foretell;
pub mod guest;
pub mod host_clock;
pub mod inventory;
pub mod judge;
pub mod kselftest;
pub mod lab;
pub mod matrix;
pub mod monitor;
pub mod newer;
pub mod options;
pub mod output;
pub mod phases;
pub mod plan_witness;
pub mod platform;
pub mod preview;
pub mod program;
pub mod promise;
pub mod promises;
pub mod qemu;
pub mod qemu_choice;
mod queue;
pub mod races;
pub mod record;
pub mod records;
pub mod report;
pub mod root;
pub mod run;
pub mod runnable;
pub mod select;
pub mod snapshot;
pub mod splat;
pub mod summary;
pub mod transcript;
pub mod verdict;
