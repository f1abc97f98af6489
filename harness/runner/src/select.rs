//! Which cases a run is about.

use case::Case;
use globset::{Glob, GlobMatcher};

/// Why a filter is of no use.
#[derive(Debug, thiserror::Error)]
#[error("the filter `{filter}` is no glob: {error}")]
pub struct BadFilter {
    filter: String,
    error: globset::Error,
}

/// Filters over ids and clauses; a case has to pass both kinds.
#[derive(Debug, Default)]
pub struct Selection {
    ids: Vec<Filter>,
    clauses: Vec<GlobMatcher>,
}

#[derive(Debug)]
enum Filter {
    Glob(GlobMatcher),
    Part(String),
}

impl Selection {
    /// Reads filters as a person writes them.
    ///
    /// # Errors
    /// When one is a malformed glob.
    pub fn new(ids: &[String], clauses: &[String]) -> Result<Self, BadFilter> {
        let ids = ids.iter().map(|text| {
            let is_glob = text.contains(['*', '?', '[']);
            if is_glob {
                glob(text).map(Filter::Glob)
            } else {
                Ok(Filter::Part(text.clone()))
            }
        });
        let clauses = clauses.iter().map(|text| glob(text));
        Ok(Self {
            ids: ids.collect::<Result<_, _>>()?,
            clauses: clauses.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a case is selected.
    #[must_use]
    pub fn takes(&self, case: &Case) -> bool {
        let id = self.ids.is_empty() || self.ids.iter().any(|filter| filter.takes(&case.id));
        let by_clause = |clause: &str| self.clauses.iter().any(|glob| glob.is_match(clause));
        id && (self.clauses.is_empty() || case.clauses().any(by_clause))
    }
}

impl Filter {
    fn takes(&self, id: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(id),
            Self::Part(part) => id.contains(part.trim_end_matches('/')),
        }
    }
}

fn glob(text: &str) -> Result<GlobMatcher, BadFilter> {
    let glob = Glob::new(text).map_err(|error| BadFilter {
        filter: text.to_owned(),
        error,
    })?;
    Ok(glob.compile_matcher())
}
