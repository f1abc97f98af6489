//! `cargo xtask export-c`: cases as C programs.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use case::{Case, Corpus, CorpusError};
use clap::Args;
use export::ExportError;
use runner::{
    exit::Exit,
    lab::{load_case_file, load_corpus},
    options::{cases_folder, platform_name},
    output::Output,
    platform::PlatformError,
    program::Platforms,
    select::{BadFilter, NothingSelected, Selection},
};

/// Options of `export-c`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportOptions {
    /// Id of a case or another filter that selects one, or any YAML file with one case.
    #[arg(value_name = "CASE", required_unless_present = "all")]
    pub case: Option<String>,

    /// File that receives the program. Default: standard output.
    #[arg(long, short, value_name = "FILE", conflicts_with = "all")]
    pub output: Option<PathBuf>,

    /// Export every case of the corpus into this folder, each into a file with the name of its id.
    #[arg(long, value_name = "DIR", conflicts_with = "case")]
    pub all: Option<PathBuf>,

    /// Platform that the program is for: the name of a file in vm-images/platforms. Default: intel,
    /// or the platform that the case needs.
    #[arg(long, value_parser = platform_name())]
    pub platform: Option<String>,

    /// Folder with the cases. Default: cases.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask export-c stage2/second-ioas-refused/bridge > second-ioas.c
  cargo xtask export-c contract/ioas-map/size-short --output ioas-map.c
  cargo xtask export-c walk-3.yaml > walk.c      any case file
  cargo xtask export-c --all programs            the whole corpus

The head of a program says how to build it and which arguments it takes.

Exit codes:
  0  exported
  2  wrong usage, several cases, or a mistake in a case file
  3  unknown case
  70  a case cannot be written as a C program, or a file could not be written";

/// Maximum number of ids to list.
const SHOWN: usize = 12;

/// Why no program was written.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// The corpus or the file has mistakes.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// No such platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The case cannot be written as a program.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// The argument is the path of a file that does not exist.
    #[error("the case file {} does not exist", .0.display())]
    NoFile(PathBuf),
    /// No such id.
    #[error(transparent)]
    Nothing(#[from] NothingSelected),
    /// The argument is a malformed glob.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// The argument selects several cases.
    #[error("`{id}` selects {} cases; give the id of one:\n{}", ids.len(), listed(ids))]
    Several {
        /// The argument.
        id: String,
        /// The cases that it selects.
        ids: Vec<String>,
    },
    /// Some cases of the corpus cannot be written as programs.
    #[error("{} of {all} cases cannot be written as programs:\n{}", failed.len(), failed.join("\n"))]
    Some {
        /// The reason for each of them.
        failed: Vec<String>,
        /// Number of cases in the corpus.
        all: usize,
    },
    /// A file could not be written.
    #[error("writing {}: {error}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        error: io::Error,
    },
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Nothing(_) => Exit::Nothing,
            Self::Export(_) | Self::Some { .. } | Self::Write { .. } => Exit::Host,
            _ => Exit::Usage,
        }
    }
}

fn listed(ids: &[String]) -> String {
    let mut lines: Vec<_> = ids.iter().take(SHOWN).map(|id| format!("  {id}")).collect();
    if ids.len() > SHOWN {
        lines.push(format!("  ... and {} more", ids.len() - SHOWN));
    }
    lines.join("\n")
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &ExportOptions) -> ExitCode {
    match go(options) {
        Ok(()) => Exit::Ok.code(false),
        Err(CommandError::Write { error, .. }) if error.kind() == io::ErrorKind::BrokenPipe => {
            Exit::Ok.code(false)
        }
        Err(error @ CommandError::Corpus(CorpusError::Problems { .. })) => {
            eprintln!("{error}");
            error.exit().code(false)
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().code(false)
        }
    }
}

fn go(options: &ExportOptions) -> Result<(), CommandError> {
    let folder = options.cases.clone().unwrap_or_else(cases_folder);
    let platforms = Platforms::load(options.platform.as_deref())?;
    if let Some(into) = &options.all {
        let corpus = load_corpus(&folder)?;
        return export_all(&corpus, &platforms, into);
    }
    let asked = options.case.as_deref().unwrap_or_default();
    let path = Path::new(asked);
    if path.extension().is_some_and(|ending| ending == "yaml") && !path.is_file() {
        return Err(CommandError::NoFile(path.to_owned()));
    }
    let corpus = if path.is_file() {
        load_case_file(&folder, path)?
    } else {
        load_corpus(&folder)?
    };
    let case = if path.is_file() {
        only(&corpus.cases.iter().collect::<Vec<_>>(), asked)?
    } else {
        find(&corpus, asked)?
    };
    let text = platforms.program(case, &corpus.clauses)?.text;
    match &options.output {
        Some(path) => write(path, &text),
        None => Output::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| CommandError::Write {
                path: PathBuf::from("standard output"),
                error,
            }),
    }
}

/// Finds the case that an id selects, as `run-conformance` would.
fn find<'a>(corpus: &'a Corpus, asked: &str) -> Result<&'a Case, CommandError> {
    let asked = asked.trim_end_matches('/');
    if let Some(case) = corpus.cases.iter().find(|case| case.id == asked) {
        return Ok(case);
    }
    let selection = Selection::new(&[asked.to_owned()], &[])?;
    let selected = selection.of(&corpus.cases)?;
    for (old, new) in selection.renamed(&selected) {
        eprintln!("note: {old} is now called {new}");
    }
    let taken = corpus.cases.iter().filter(|case| selection.takes(case));
    only(&taken.collect::<Vec<_>>(), asked)
}

fn only<'a>(cases: &[&'a Case], asked: &str) -> Result<&'a Case, CommandError> {
    match cases {
        [case] => Ok(case),
        cases => Err(CommandError::Several {
            id: asked.to_owned(),
            ids: cases.iter().map(|case| case.id.clone()).collect(),
        }),
    }
}

fn export_all(corpus: &Corpus, platforms: &Platforms, into: &Path) -> Result<(), CommandError> {
    let mut none = Vec::new();
    for case in &corpus.cases {
        let text = match platforms.program(case, &corpus.clauses) {
            Ok(program) => program.text,
            Err(error) => {
                none.push(error.to_string());
                continue;
            }
        };
        let path = into.join(format!("{}.c", case.id));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed(folder))?;
        }
        write(&path, &text)?;
    }
    let all = corpus.cases.len();
    eprintln!("{} programs in {}", all - none.len(), into.display());
    if none.is_empty() {
        return Ok(());
    }
    Err(CommandError::Some { failed: none, all })
}

fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    fs::write(path, text).map_err(failed(path))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> CommandError {
    let path = path.to_owned();
    move |error| CommandError::Write {
        path: path.clone(),
        error,
    }
}
