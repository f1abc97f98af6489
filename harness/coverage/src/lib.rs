//! Which lines, branches and error returns of the kernel a run reached.
//!
//! lcov's tracefile says which lines were executed, the source says which of them yield an
//! error, and a reviewed list says which of those no case can reach.

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
