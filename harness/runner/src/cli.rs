//! `cargo xtask run-conformance`: from options to an exit code.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use case::{Case, Corpus};
use vm_images::Terminal;

use crate::{
    event::Sink,
    exit::Exit,
    findings,
    lab::{Lab, LabError, folders, load_corpus},
    options::{Format, Options},
    preview,
    report::{Human, Json, Ktap},
    run::{Cancel, run},
    select::{BadFilter, Selection},
    snapshot::{self, BadUpdate, Mode},
};

/// Why a run did not come to a summary.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Update(#[from] BadUpdate),
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

impl CliError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Filter(_)
            | Self::Update(_)
            | Self::Lab(LabError::Corpus(_) | LabError::Platform(_)) => Exit::Usage,
            Self::Output(_) | Self::Signal(_) | Self::Lab(_) => Exit::NoMachine,
        }
    }
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &Options) -> ExitCode {
    let exit = go(options).map(|(exit, _)| exit).unwrap_or_else(|error| {
        // A reader that went away (`| head`) is no error worth a word.
        let pipe = matches!(&error, CliError::Output(e) if e.kind() == io::ErrorKind::BrokenPipe);
        if !pipe {
            eprintln!("{}", complaint(&error));
        }
        error.exit()
    });
    exit.code(options.bisect)
}

/// Mistakes in case files come rendered, with a heading each.
pub(crate) fn complaint(error: &CliError) -> String {
    match error {
        CliError::Lab(LabError::Corpus(case::CorpusError::Problems { .. })) => error.to_string(),
        _ => format!("error: {error}"),
    }
}

/// The exit code, and the folder of the run if one was made.
pub(crate) fn go(options: &Options) -> Result<(Exit, Option<PathBuf>), CliError> {
    let selection = Selection::new(&options.filters, &options.clause)?;
    let corpus = load_corpus(&options.cases()).map_err(LabError::from)?;
    if options.check {
        // The stored snapshots are those of the project's own cases.
        let own = options.cases.is_none();
        return Ok((check(&corpus, own)?, None));
    }
    if options.print_qemu {
        writeln!(io::stdout(), "{}", preview::command_line(options)?)?;
        return Ok((Exit::Ok, None));
    }
    let selected: Vec<_> = corpus
        .cases
        .iter()
        .filter(|case| selection.takes(case))
        .cloned()
        .collect();
    for (old, new) in selection.renamed(&selected) {
        eprintln!("note: {old} is called {new} now");
    }
    if options.list {
        return Ok((list(&selected)?, None));
    }
    if selected.is_empty() {
        eprintln!(
            "no case is selected; `--list` shows all {}",
            corpus.cases.len()
        );
        return Ok((Exit::Nothing, None));
    }
    judge(options, corpus, &selected)
}

fn check(corpus: &Corpus, own: bool) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    for (folder, cases) in folders(corpus) {
        writeln!(out, "{cases:>5}  {folder}")?;
    }
    let faults = if own {
        snapshot::faults(&corpus.cases)
    } else {
        Vec::new()
    };
    for fault in &faults {
        writeln!(out, "{fault}")?;
    }
    let problems = findings::problems(corpus, io::stdout().is_terminal());
    let problems = problems.map_err(LabError::from)?;
    for problem in &problems {
        writeln!(out, "{problem}")?;
    }
    writeln!(
        out,
        "{} cases, {} clauses, {} findings",
        corpus.cases.len(),
        corpus.clauses.len(),
        corpus.findings.iter().count()
    )?;
    Ok(if faults.is_empty() && problems.is_empty() {
        Exit::Ok
    } else {
        Exit::Usage
    })
}

fn list(selected: &[Case]) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    for case in selected {
        writeln!(out, "{:<60} {}", case.id, case.summary)?;
    }
    Ok(if selected.is_empty() {
        Exit::Nothing
    } else {
        Exit::Ok
    })
}

fn judge(
    options: &Options,
    corpus: Corpus,
    selected: &[Case],
) -> Result<(Exit, Option<PathBuf>), CliError> {
    let cancel = Arc::new(Cancel::default());
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if on_signal.is_cancelled() {
            std::process::exit(i32::from(Exit::Interrupted as u8));
        }
        on_signal.cancel();
    })?;
    let mode = mode(options)?;
    let progress = Terminal::new();
    let opened = Lab::open(options, corpus, mode, &progress);
    drop(progress);
    if cancel.is_cancelled() {
        return Ok((Exit::Interrupted, None));
    }
    let lab = opened?;
    let mut sinks = sinks(options, &lab)?;
    let cases: Vec<_> = selected.iter().collect();
    let summary = run(&lab, &cases, options.jobs(), &mut sinks, &cancel)?;
    let exit = match (summary.run.interrupted, summary.as_expected()) {
        (true, _) => Exit::Interrupted,
        (false, true) => Exit::Ok,
        (false, false) => Exit::Failed,
    };
    Ok((exit, Some(lab.path())))
}

/// How transcripts are treated.
fn mode(options: &Options) -> Result<Mode, BadUpdate> {
    match (options.bless, options.no_snapshots) {
        (true, _) => Ok(Mode::Bless),
        (false, true) => Ok(Mode::Ignore),
        (false, false) => Mode::of_environment(),
    }
}

fn sinks(options: &Options, lab: &Lab) -> io::Result<Vec<Box<dyn Sink>>> {
    let path = lab.path();
    let ktap = std::fs::File::create(path.join("report.ktap"))?;
    let output: Box<dyn Sink> = match options.format {
        Format::Human => Box::new(Human::new(path.display().to_string())),
        Format::Ktap => Box::new(Ktap::new(io::stdout())),
        Format::Json => Box::new(Json(io::stdout())),
    };
    Ok(vec![Box::new(Ktap::new(ktap)), output])
}

/// Writes `cases/schema.json`.
#[must_use]
pub fn write_schema() -> ExitCode {
    let path = crate::options::root().join("cases").join("schema.json");
    write(&path, &case::schema_text())
}

/// Writes `cases/OVERVIEW.md`, and the index of the findings.
#[must_use]
pub fn write_overview() -> ExitCode {
    let root = crate::options::root().join("cases");
    match load_corpus(&root) {
        Ok(corpus) => {
            let index = crate::root::findings().join("README.md");
            let written = [
                write(&index, &findings::index(&corpus)),
                write(&root.join("OVERVIEW.md"), &case::overview(&corpus, &root)),
            ];
            let failed = written.into_iter().find(|code| *code != ExitCode::SUCCESS);
            failed.unwrap_or(ExitCode::SUCCESS)
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(path: &std::path::Path, text: &str) -> ExitCode {
    match std::fs::write(path, text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: writing {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}
