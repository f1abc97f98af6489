//! Compares the records of two runs of the same cases: two releases, two revisions, a tree without
//! and with a series.

pub mod change;
pub mod checkout;
pub mod comparison;
pub mod intended;
pub mod kernel;
pub mod report;
pub mod side;
mod step;
