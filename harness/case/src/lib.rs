//! The case language. No other crate knows it.
//!
//! A case file is read into a tree of nodes with locations ([`Node`]). Tables and preludes are
//! expanded on the tree, which is then read into typed [`Case`]s. For one booted guest ([`Guest`])
//! a case compiles to a plan for the agent and checks for the judge ([`Compiled`]).

#![warn(missing_docs)]

mod build;
mod clauses;
mod contract;
mod corpus;
mod corpus_error;
mod expand;
mod expect;
mod fields;
mod file;
mod findings;
mod findings_check;
mod folder;
mod input;
mod mistakes;
mod needs;
mod node;
mod overview;
mod plan_rules;
mod problem;
mod reference;
mod renames;
mod role;
mod schema;
mod spec;
mod stage3;
pub mod steps;
pub mod sysfs_ops;
mod value;
mod xfail;

pub use build::{Builder, Compiled};
pub use clauses::Clause;
pub use corpus::Corpus;
pub use corpus_error::CorpusError;
pub use expect::{
    Check, Expect, FieldWant, Injection, Layout, Parts, Planned, Race, Want, WantData, WantEnd,
};
pub use file::{Case, Deviation, read as read_file};
pub use findings::{Finding, Findings, Known, Project};
pub use folder::Folder;
pub use needs::{Condition, Needs};
pub use node::{At, Name, Node, Tree};
pub use overview::overview;
pub use plan_rules::{go_together, replaces};
pub use problem::{Problem, ProblemKind, Sources, nearest};
pub use reference::{UnknownStep, describe_step, list_steps, reference};
pub use renames::Renames;
pub use role::{
    Guest, Member, NOT_DECLARED, OfferedDevice, OfferedGroup, Role, RoleBindings, Shape, Which,
};
pub use schema::{schema, schema_text};
pub use stage3::add_stage_3;
pub use steps::ioctl::{IA32_CONFIG, MOCK_CONFIG, OPTIONS_OF_CALLS};
pub use steps::table::step_keys;
pub use value::show;
pub use xfail::{AFTER_THE_STEPS, FailingStep, KnownComplaint, Shows, Xfail, step_names};

// For other files that are read like case files: key by key, with the location of each error.
pub use fields::Fields;
