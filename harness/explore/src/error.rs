//! What can go wrong with an exploration.

use std::io;

use model::Unruled;
use runner::{exit::Exit, lab::LabError};

use crate::{picture::PictureError, walk_runner::WalkError};

/// Why an exploration did not come to a result.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    /// The model does not decide an event.
    #[error("the rules of the model have a hole: {0}")]
    Rules(#[from] Unruled),
    /// No lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The disk, or standard output.
    #[error("writing the walks, or to standard output: {0}")]
    Output(#[from] io::Error),
    /// A walk has no result.
    #[error("walk {0}: {1}")]
    Walk(u64, WalkError),
    /// No picture.
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl ExploreError {
    /// How the command ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Lab(LabError::Platform(_)) | Self::Picture(_) => Exit::Usage,
            _ => Exit::NoMachine,
        }
    }
}
