//! `contract:` of a case file: what an ioctl guarantees about malformed arguments, as rows that are
//! generated from the table of the uAPI.
//!
//! A case gives one call that succeeds. [`rows`] derives the malformed calls, [`errno_rules`] has
//! the default errno of each, and [`read`] builds the steps of a row: the malformed calls, and then
//! the call as given.

mod errno_rules;
mod read;
mod rows;

pub use read::{Contract, ContractCase, Deviates};
