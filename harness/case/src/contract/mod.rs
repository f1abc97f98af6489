//! `contract:` of a case file: what every ioctl guarantees about its argument, as rows
//! that are generated from the table of the uAPI.
//!
//! A case gives one call that succeeds. [`rows`] derives the malformed calls, [`errno_rules`] says
//! how a handler answers each unless the case says otherwise, and [`read`] puts the steps of a
//! row together: the malformed calls, and after them the call as it was given.

mod errno_rules;
mod read;
mod rows;

pub use read::{Contract, ContractCase, Deviates};
