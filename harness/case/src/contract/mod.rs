//! `contract:` of a case file: what every ioctl promises about its argument, as rows that are
//! generated from the table of the uAPI.
//!
//! A case gives one call that succeeds. [`rows`] derives the ways to spoil it, [`family`] says
//! how a handler answers each unless the case knows better, and [`read`] puts the steps of a
//! row together: the spoiled calls, and after them the call as it was given.

mod family;
mod read;
mod rows;

pub use read::{Contract, Promise};
