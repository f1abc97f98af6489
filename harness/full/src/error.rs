//! Errors of `full`, and the exit code for each.

use std::{
    io,
    path::{Path, PathBuf},
    process::ExitStatus,
};

use runner::{exit::Exit, platform::PlatformError, qemu::QemuError, records::NoRecord};
use vm_images::ImageError;

/// Why the comparison has no result.
#[derive(Debug, thiserror::Error)]
pub enum FullError {
    /// The kernel, or a part of the host, could not be obtained.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The platform is unknown.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// QEMU could not be used.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The agent could not be built.
    #[error(transparent)]
    Agent(#[from] runner::agent::AgentError),
    /// A program that builds the host failed.
    #[error("building the emulated host: {0}")]
    Program(#[from] xshell::Error),
    /// A file failed.
    #[error("{doing} {}: {error}", path.display())]
    File {
        /// The action, such as "reading".
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// Starting a program failed.
    #[error("starting {program}: {error}")]
    Start { program: String, error: io::Error },
    /// A run under TCG has no verdicts.
    #[error("the run under TCG, `{name}`, ended with {status}: {said}; see {}", log.display())]
    Tcg {
        /// Name of the set of cases.
        name: String,
        /// Exit status of the process.
        status: ExitStatus,
        /// Its last line of output.
        said: String,
        /// File with its output.
        log: PathBuf,
    },
    /// A mistake in a case file.
    #[error(transparent)]
    Corpus(#[from] case::CorpusError),
    /// The host did not execute all jobs.
    #[error("{what}; the console of the emulated host is {}", console.display())]
    Host {
        /// What happened.
        what: String,
        /// Console of the host.
        console: PathBuf,
    },
    /// A command failed in the host.
    #[error("`{name}` failed in the emulated host with exit code {code}: {said}")]
    Job {
        /// Name of the set of cases.
        name: String,
        /// Its exit code.
        code: i32,
        /// Its last line of output.
        said: String,
    },
    /// A file is not a record.
    #[error(transparent)]
    NoRecord(#[from] NoRecord),
    /// No such part.
    #[error("no part is called `{name}`; the parts are {known}, and `full kvm` with options")]
    NoPart { name: String, known: String },
    /// Programs are missing, which would end a part after hours of others.
    #[error(
        "{}; install them with `scripts/bootstrap --coverage`, or name the parts to run",
        .0.join("; ")
    )]
    Programs(Vec<String>),
    /// The table of parts, which is part of this program, cannot be read.
    #[error("the table of parts: {0}")]
    Table(#[from] serde_yaml::Error),
    /// A folder of the project cannot be read.
    #[error("reading the project's files: {0}")]
    Files(#[from] walkdir::Error),
    /// No job is selected.
    #[error("no selected job can run on the given platforms; the platforms are {0}")]
    Nothing(String),
    /// Ctrl-C cannot be caught.
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error("interrupted")]
    Interrupted,
}

impl FullError {
    /// Returns a function that makes the error of an action on a file.
    pub(crate) fn file(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |error| Self::File { doing, path, error }
    }

    /// Returns the exit code of the command.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Platform(_) | Self::Corpus(_) | Self::NoPart { .. } => Exit::Usage,
            Self::Image(error) => error.blame().into(),
            Self::Tcg { status, .. } if status.code() == Some(i32::from(Exit::Usage.number())) => {
                Exit::Usage
            }
            Self::Tcg { status, .. }
                if status.code() == Some(i32::from(Exit::Nothing.number())) =>
            {
                Exit::Nothing
            }
            Self::Nothing(_) => Exit::Nothing,
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::Host,
        }
    }
}
