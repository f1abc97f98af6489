//! One file for each command: its options, and its `main`.

pub mod baseline;
pub mod bench;
pub mod bisect;
pub mod compare;
pub mod coverage;
pub mod explore;
pub mod export_c;
pub mod full;
pub mod generate;
pub mod matrix;
pub mod mutants;
pub mod reference;
pub mod repeat;
pub mod run_conformance;
