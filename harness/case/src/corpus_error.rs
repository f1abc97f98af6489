//! Why a corpus, or what belongs to it, could not be read.

use std::{io, path::PathBuf};

use crate::problem::{Problem, Sources};

/// Why a corpus could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or directory is unreadable.
    #[error("reading {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Case files have errors; rendered, one after the other.
    #[error("{}", rendered.join("\n\n"))]
    Problems {
        /// Each with its line of source.
        rendered: Vec<String>,
    },
    /// There is no case at all.
    #[error("no case file below {0}")]
    Empty(PathBuf),
}

/// An error with these problems, if there are any.
pub(crate) fn none_of(
    problems: &[Problem],
    sources: &Sources,
    colour: bool,
) -> Result<(), CorpusError> {
    if problems.is_empty() {
        return Ok(());
    }
    let render = |problem| sources.render(problem, colour);
    let rendered = problems.iter().map(render).collect();
    Err(CorpusError::Problems { rendered })
}
