//! A mutant: an edit of one file, and the rule that it breaks.

use crate::edit::Edit;

/// One small bug in one kernel's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mutant {
    /// Its name.
    pub id: String,
    /// Its area.
    pub area: String,
    /// The file, from the top of the tree.
    pub file: String,
    /// The function.
    pub function: String,
    /// The rule that it breaks.
    pub rule: String,
    /// Clauses of the protocol that the rule belongs to.
    pub clauses: Vec<String>,
    /// Why no case can kill it, if so.
    pub survives: Option<String>,
    /// The change that mended it in Linux, if so.
    pub source: Option<String>,
    /// The change.
    pub edit: Edit,
}

/// Whether one of the filters is a part of one of the names. Without filters, everything is
/// selected.
pub fn is_meant(names: &[&str], filters: &[String]) -> bool {
    let part = |filter: &String| names.iter().any(|name| name.contains(filter.as_str()));
    filters.is_empty() || filters.iter().any(part)
}
