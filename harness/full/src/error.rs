//! What can go wrong, and how the command ends then.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use runner::{exit::Exit, platform::PlatformError, qemu::QemuError};
use vm_images::ImageError;

/// Why nothing was proved.
#[derive(Debug, thiserror::Error)]
pub enum FullError {
    /// No kernel, or no part of the host.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// No such platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// No QEMU.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// No agent.
    #[error(transparent)]
    Agent(#[from] runner::agent::AgentError),
    /// A program failed that makes the host.
    #[error("making the emulated host: {0}")]
    Program(#[from] xshell::Error),
    /// A file failed.
    #[error("{doing} {}: {error}", path.display())]
    File {
        /// As in "reading".
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// Starting a program failed.
    #[error("starting {program}: {error}")]
    Start { program: String, error: io::Error },
    /// A run under TCG did not come to verdicts.
    #[error("the run under TCG, `{name}`, ended with {status}: {said}; see {}", log.display())]
    Tcg {
        /// Of the set of cases.
        name: String,
        /// Of the process.
        status: ExitStatus,
        /// Its last line.
        said: String,
        /// All that it said.
        log: PathBuf,
    },
    /// A mistake in a case file.
    #[error(transparent)]
    Corpus(#[from] case::CorpusError),
    /// The host did not do all it was told.
    #[error("{what}; the console of the emulated host is {}", console.display())]
    Host {
        /// What it did instead.
        what: String,
        /// Of the host.
        console: PathBuf,
    },
    /// A command failed in the host.
    #[error("`{name}` ended in the emulated host with exit code {code}: {said}")]
    Job {
        /// Of the set of cases.
        name: String,
        /// Its exit code.
        code: i32,
        /// The last line it said.
        said: String,
    },
    /// A record is none.
    #[error("{} is no record of a run: {why}", path.display())]
    NoRecord { path: PathBuf, why: String },
    /// Nothing to do.
    #[error("no platform is left to run on; there are {0}")]
    Nothing(String),
    /// Ctrl-C cannot be caught.
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error("interrupted")]
    Interrupted,
}

impl FullError {
    /// For what was being done with a file when it failed.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }

    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Platform(_) | Self::Corpus(_) => Exit::Usage,
            Self::Tcg { status, .. } if status.code() == Some(Exit::Usage as i32) => Exit::Usage,
            Self::Tcg { status, .. } if status.code() == Some(Exit::Nothing as i32) => {
                Exit::Nothing
            }
            Self::Nothing(_) => Exit::Nothing,
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::NoMachine,
        }
    }
}
