//! Why a corpus or its findings could not be read.

use std::{io, path::PathBuf};

use crate::problem::{Problem, Sources};

/// Why a corpus could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or directory cannot be read.
    #[error("reading {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Files have errors.
    #[error("{}", rendered.join("\n\n"))]
    Problems {
        /// Each error, rendered with its line of source.
        rendered: Vec<String>,
    },
    /// There are no cases.
    #[error("no case files in {0}")]
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
