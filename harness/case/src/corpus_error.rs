//! Why a corpus or its findings could not be read.

use std::{io, path::PathBuf};

use crate::problem::{Problem, Sources};

/// Why a corpus could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or directory cannot be read.
    #[error("reading {path}: {error}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// The folder of the cases cannot be read.
    #[error("reading the folder of cases {path}: {error}; name a folder of case files (*.yaml)")]
    Folder {
        /// Path of the folder.
        path: PathBuf,
        /// The error of the system.
        error: io::Error,
    },
    /// Files have errors.
    #[error("{}", rendered.join("\n\n"))]
    Problems {
        /// Each error, rendered with its line of source.
        rendered: Vec<String>,
    },
    /// There are no cases.
    #[error("no case files in {0}; name a folder of case files (*.yaml)")]
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
