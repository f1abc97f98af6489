//! Kernel code coverage of a run: lines, branches and error returns.
//!
//! lcov's tracefile has the executed lines, the source shows which of them return an error, and a
//! reviewed list has the error returns that no case can reach.

mod diff;
mod lcov;
mod measure;
mod saved;
mod scan;
mod tracefile;
mod unreachable;

pub use diff::Diff;
pub use lcov::{Lcov, LcovError};
pub use measure::{Coverage, ErrorReturn, FileCoverage, Tally};
pub use saved::SavedError;
pub use scan::{ErrorLine, error_lines};
pub use tracefile::{FileHits, Tracefile, TracefileError};
pub use unreachable::{Entry, Reasons, ReasonsError, Sorted, Stale};
