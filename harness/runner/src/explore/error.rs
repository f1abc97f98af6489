//! What can go wrong with an exploration.

use std::io;

use model::Unruled;

use crate::{
    exit::Exit,
    explore::{picture::PictureError, random::WalkError},
    lab::LabError,
};

/// Why an exploration did not come to a result.
#[derive(Debug, thiserror::Error)]
pub enum ExploreError {
    #[error("no world is called like {0}; `--list` shows all")]
    NoWorld(String),
    #[error("random walks go through one world, and these are called like that: {0}")]
    OneWorld(String),
    #[error("the rules of the model have a hole: {0}")]
    Rules(#[from] Unruled),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("writing the walks, or to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error("walk {0}: {1}")]
    Walk(u64, WalkError),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

impl ExploreError {
    /// How the command ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::NoWorld(_) => Exit::Nothing,
            Self::OneWorld(_) | Self::Lab(LabError::Platform(_)) | Self::Picture(_) => Exit::Usage,
            _ => Exit::NoMachine,
        }
    }
}
