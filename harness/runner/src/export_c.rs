//! `cargo xtask export-c`: cases as C programs.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use case::{Case, Clause, Corpus, CorpusError};
use clap::Args;
use export::{ExportError, Program};

use crate::{
    exit::Exit,
    lab::{load_case_file, load_corpus},
    offer,
    options::root,
    platform::{self, Platform, PlatformError},
};

/// Options of `export-c`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExportOptions {
    /// Id of a case, or a YAML file with one, which may lie anywhere.
    #[arg(value_name = "CASE", required_unless_present = "all")]
    pub case: Option<String>,

    /// File that receives the program. Default: standard output.
    #[arg(long, short, value_name = "FILE", conflicts_with = "all")]
    pub output: Option<PathBuf>,

    /// Export every case of the corpus into this folder, each into a file named after its id.
    #[arg(long, value_name = "DIR", conflicts_with = "case")]
    pub all: Option<PathBuf>,

    /// The machine that the program is for: a file of vm-images/platforms. Default: intel, or the
    /// one that the case needs.
    #[arg(long)]
    pub platform: Option<String>,

    /// Folder with the cases.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask export-c stage2/second-ioas-refused/bridge > second-ioas.c
  cargo xtask export-c contract/ioas-map/size-short --output ioas-map.c
  cargo xtask export-c walk-3.yaml > walk.c      a case file that lies elsewhere
  cargo xtask export-c --all programs            the whole corpus

The head of a program says how to build it and which arguments it takes.

Exit codes:
  0  exported
  2  wrong usage, no such case, or a mistake in a case file
  4  a case that is no C program, or a file that could not be written";

/// Names that are shown of many.
const SHOWN: usize = 12;

/// Why there is no program.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The corpus or the file has mistakes.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// No such platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The case is no program.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// It looks like a file, and there is none.
    #[error("there is no file {}", .0.display())]
    NoFile(PathBuf),
    /// No such id.
    #[error("no case is called `{id}`{}", advice(near))]
    Unknown {
        /// What was asked for.
        id: String,
        /// Ids that are like it.
        near: Vec<String>,
    },
    /// One program is one case.
    #[error("`{id}` is {} cases; give one of them:\n{}", ids.len(), listed(ids))]
    Several {
        /// What was asked for.
        id: String,
        /// What it may mean.
        ids: Vec<String>,
    },
    /// Some of all.
    #[error("{} of {all} cases are no programs:\n{}", failed.len(), failed.join("\n"))]
    Some {
        /// Why each of them is none.
        failed: Vec<String>,
        /// How many cases there are.
        all: usize,
    },
    /// Not written.
    #[error("writing {}: {error}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::Export(_) | Self::Some { .. } | Self::Write { .. } => Exit::NoMachine,
            _ => Exit::Usage,
        }
    }
}

fn advice(near: &[String]) -> String {
    match near {
        [] => "; `run-conformance --list` shows all".to_owned(),
        near => format!("; did you mean\n{}", listed(near)),
    }
}

fn listed(ids: &[String]) -> String {
    let mut lines: Vec<_> = ids.iter().take(SHOWN).map(|id| format!("  {id}")).collect();
    if ids.len() > SHOWN {
        lines.push(format!("  ... and {} more", ids.len() - SHOWN));
    }
    lines.join("\n")
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
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
    let folder = options
        .cases
        .clone()
        .unwrap_or_else(|| root().join("cases"));
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
        None => io::stdout()
            .write_all(text.as_bytes())
            .map_err(|error| CommandError::Write {
                path: PathBuf::from("standard output"),
                error,
            }),
    }
}

/// The case of that id.
///
/// # Errors
/// When there is none, or more than one.
pub fn find<'a>(corpus: &'a Corpus, asked: &str) -> Result<&'a Case, CommandError> {
    let asked = asked.trim_end_matches('/');
    if let Some(case) = corpus.cases.iter().find(|case| case.id == asked) {
        return Ok(case);
    }
    let within = format!("{asked}/");
    let rows = corpus
        .cases
        .iter()
        .filter(|case| case.id.starts_with(&within));
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        return only(&rows, asked);
    }
    Err(CommandError::Unknown {
        id: asked.to_owned(),
        near: near(corpus, asked),
    })
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

/// Ids that have the words in them, or are spelt alike.
fn near(corpus: &Corpus, asked: &str) -> Vec<String> {
    let ids = || corpus.cases.iter().map(|case| &case.id);
    let within: Vec<_> = ids().filter(|id| id.contains(asked)).cloned().collect();
    if !within.is_empty() && !asked.is_empty() {
        return within;
    }
    let mut scored: Vec<_> = ids()
        .map(|id| (strsim::jaro_winkler(asked, id), id))
        .filter(|(score, _)| *score > 0.85)
        .collect();
    scored.sort_by(|(one, _), (other, _)| other.total_cmp(one));
    scored
        .into_iter()
        .take(3)
        .map(|(_, id)| id.clone())
        .collect()
}

/// The machines that a program may be for, the likeliest first.
#[derive(Debug)]
pub struct Platforms(Vec<Platform>);

/// What is meant where nothing else is said.
const USUAL: &str = "intel";

impl Platforms {
    /// The one of that name, or all.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn load(name: Option<&str>) -> Result<Self, PlatformError> {
        let folder = root().join("vm-images");
        let names = match name {
            Some(name) => vec![name.to_owned()],
            None => {
                let mut names = platform::names(&folder);
                names.sort_by_key(|name| name != USUAL);
                names
            }
        };
        let platforms = names.iter().map(|name| Platform::load(&folder, name));
        platforms.collect::<Result<_, _>>().map(Self)
    }

    /// The program of a case, for the first machine that can run it.
    ///
    /// # Errors
    /// With what is wrong on the first of them.
    pub fn program(&self, case: &Case, clauses: &[Clause]) -> Result<Program, ExportError> {
        let needed = case.needs.config().iter().map(String::as_str);
        // Steps about the mock need this without saying so.
        let options: BTreeSet<_> = needed.chain(["CONFIG_IOMMUFD_TEST"]).collect();
        let mut first = None;
        for platform in &self.0 {
            let offer = offer::imagined(platform, options.iter().copied());
            match export::program(case, &offer, clauses) {
                Err(error @ ExportError::Need { .. }) => {
                    first.get_or_insert(error);
                }
                done => return done,
            }
        }
        Err(first.unwrap_or_else(|| ExportError::Need {
            case: case.id.clone(),
            need: "a platform".to_owned(),
        }))
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
