//! Errors of an exploration.

use std::io;

use model::Unruled;
use runner::{exit::Exit, lab::LabError};

use crate::{picture::PictureError, walk_runner::WalkError};

/// Why an exploration has no result.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// The model does not decide an event.
    #[error("the rules of the model do not decide an event: {0}")]
    Rules(#[from] Unruled),
    /// The lab could not be opened.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A file or standard output could not be written.
    #[error("writing the walks or standard output: {0}")]
    Output(#[from] io::Error),
    /// A walk has no result.
    #[error("walk {0}: {1}")]
    Walk(u64, WalkError),
    /// A worker panicked, and has printed the reason.
    #[error("a worker panicked, so not every walk was run; this is a bug of the tool")]
    Panicked,
    /// The picture could not be drawn.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl ExploreError {
    /// Returns the exit code of the command.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Lab(error) => error.exit(),
            Self::Picture(_) => Exit::Usage,
            Self::Walk(_, WalkError::Boot(error)) => error.blame().into(),
            Self::Walk(_, WalkError::Missing(_)) => Exit::Failed,
            _ => Exit::Host,
        }
    }
}
