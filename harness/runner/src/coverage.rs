//! `cargo xtask coverage`: what of the kernel's code a run reached.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use coverage::{Coverage, Diff, FileCoverage, Reasons, ReasonsError, Tracefile};

use crate::{
    cli::{self, CliError},
    counters::COUNTERS,
    exit::Exit,
    kselftest::{self, KselftestError},
    lcov::{Lcov, LcovError},
    options::{Options, root},
    record::timestamp,
};

/// Options of `coverage`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CoverageOptions {
    /// What is run, and where.
    #[command(flatten)]
    pub run: Options,

    /// Write HTML pages, too: source with counts.
    #[arg(long, value_name = "DIR")]
    pub html: Option<PathBuf>,

    /// Write the tracefile for lcov's tools to this file, too.
    #[arg(long, value_name = "FILE")]
    pub lcov: Option<PathBuf>,

    /// Run nothing; print again what this run reached (a folder below results/runs).
    #[arg(long, value_name = "RUN", conflicts_with = "diff")]
    pub from: Option<PathBuf>,

    /// Also build and run the kernel's own tests from a source tree, in the same kind of guest,
    /// and print both side by side. The only NAME is `kselftest`.
    #[arg(long, num_args = 2, value_names = ["NAME", "TREE"], conflicts_with = "diff")]
    pub suite: Vec<String>,

    /// Run nothing; print what run B reached and run A did not, and the reverse.
    #[arg(long, num_args = 2, value_names = ["A", "B"])]
    pub diff: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask coverage                          the whole corpus
  cargo xtask coverage iommufd vfio-device      a part of it
  cargo xtask coverage --html pages             source with counts, for a browser
  cargo xtask coverage --linux ~/linux          a kernel tree with your patch
  cargo xtask coverage --from results/runs/latest
  cargo xtask coverage --suite kselftest ~/linux
  cargo xtask coverage --diff results/runs/A results/runs/B

The first run builds a kernel with clang; `scripts/bootstrap --coverage` installs clang and
lcov. Error returns that no case can reach are in results/unreachable.yaml, each with its
reason. Exit codes are those of run-conformance; 1 also where an entry of that list matches
no error return, or one that was reached.";

/// File of a run's folder: what it reached.
const SAVED: &str = "coverage.json";
/// File of a run's folder: the tracefile.
const TRACEFILE: &str = "coverage.info";

/// Why there is no coverage.
#[derive(Debug, thiserror::Error)]
enum CoverageError {
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error(transparent)]
    Lcov(#[from] LcovError),
    #[error(transparent)]
    Reasons(#[from] ReasonsError),
    #[error(transparent)]
    Kselftest(#[from] KselftestError),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} is no coverage that a run saved: {error}", path.display())]
    Saved {
        path: PathBuf,
        error: serde_json::Error,
    },
    #[error(
        "coverage of a ready kernel image cannot be read without the notes of its build; give its \
         source tree (--linux TREE), or let run-conformance --gcov DIR keep the counters"
    )]
    ReadyImage,
}

impl CoverageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Cli(error) => error.exit(),
            Self::Kselftest(error) => error.exit(),
            Self::Reasons(_) | Self::Saved { .. } | Self::ReadyImage => Exit::Usage,
            Self::Lcov(_) | Self::Io { .. } => Exit::NoMachine,
        }
    }
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &CoverageOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        match &error {
            CoverageError::Cli(error) => eprintln!("{}", cli::complaint(error)),
            _ => eprintln!("error: {error}"),
        }
        error.exit()
    });
    exit.code(options.run.bisect)
}

fn go(options: &CoverageOptions) -> Result<Exit, CoverageError> {
    if let [first, second] = options.diff.as_slice() {
        print!("{}", Diff::new(&saved(first)?, &saved(second)?));
        return Ok(Exit::Ok);
    }
    let run = &options.run;
    if run.list || run.check || run.print_qemu {
        return Ok(cli::go(run)?.0);
    }
    if run.kernel.is_some() {
        return Err(CoverageError::ReadyImage);
    }
    let suite = kselftest::tree(&options.suite)?;
    let lcov = Lcov::find()?;
    let reasons = reasons()?;
    let (ran, folder) = match &options.from {
        Some(folder) => (Exit::Ok, folder.clone()),
        None => match run_cases(run)? {
            (exit @ Exit::Interrupted, _) | (exit, None) => return Ok(exit),
            (exit, Some(folder)) => (exit, folder),
        },
    };
    let counters = run.gcov.clone().unwrap_or_else(|| folder.join(COUNTERS));
    let info = folder.join(TRACEFILE);
    let coverage = measure(&lcov.capture(&counters, &info)?, &counters)?;
    save(&coverage, &folder)?;
    export(options, &lcov, &info, &counters)?;
    let told = tell(&coverage, &reasons, &folder)?;
    if let Some(tree) = suite {
        let theirs = run_suite(run, tree, &lcov)?;
        let table = coverage.beside("corpus", &theirs, "kselftest");
        write(&folder.join("beside-kselftest.txt"), &table)?;
        println!("\n{table}");
    }
    Ok(if ran == Exit::Ok { told } else { ran })
}

/// Runs the kernel's own tests on the same kernel, in a run of their own.
fn run_suite(run: &Options, tree: &Path, lcov: &Lcov) -> Result<Coverage, CoverageError> {
    let name = format!("{}-kselftest", timestamp());
    let folder = root().join("results").join("runs").join(name);
    let options = Options {
        counting: true,
        gcov: None,
        record: Some(folder.clone()),
        ..run.clone()
    };
    kselftest::main(&options, tree)?;
    let counters = folder.join(COUNTERS);
    let trace = lcov.capture(&counters, &folder.join(TRACEFILE))?;
    let coverage = measure(&trace, &counters)?;
    save(&coverage, &folder)?;
    Ok(coverage)
}

fn run_cases(run: &Options) -> Result<(Exit, Option<PathBuf>), CoverageError> {
    let counting = Options {
        counting: true,
        ..run.clone()
    };
    Ok(cli::go(&counting)?)
}

/// Joins what was executed with the source, which lies beside the counters.
fn measure(trace: &Tracefile, counters: &Path) -> Result<Coverage, CoverageError> {
    let mut coverage = Coverage::default();
    for (path, hits) in &trace.files {
        let source = read(&counters.join(path))?;
        let file = FileCoverage::new(hits, &source);
        coverage.files.insert(path.clone(), file);
    }
    Ok(coverage)
}

/// Prints, and keeps what it prints in the run's folder.
fn tell(coverage: &Coverage, reasons: &Reasons, folder: &Path) -> Result<Exit, CoverageError> {
    let sorted = reasons.sort(coverage);
    let text = format!("\n{}\n{sorted}", coverage.table());
    write(&folder.join("coverage.txt"), &text)?;
    write(&folder.join("coverage-gaps.txt"), &coverage.gaps())?;
    print!("{text}");
    println!("record: {}", folder.display());
    Ok(if sorted.stale.is_empty() {
        Exit::Ok
    } else {
        Exit::Failed
    })
}

fn export(
    options: &CoverageOptions,
    lcov: &Lcov,
    info: &Path,
    counters: &Path,
) -> Result<(), CoverageError> {
    if let Some(to) = &options.lcov {
        let copied = fs::copy(info, to);
        copied.map_err(|error| CoverageError::Io {
            path: to.clone(),
            error,
        })?;
    }
    if let Some(to) = &options.html {
        lcov.html(info, counters, to)?;
    }
    Ok(())
}

fn reasons() -> Result<Reasons, CoverageError> {
    let path = root().join("results").join("unreachable.yaml");
    Ok(Reasons::read(&read(&path)?)?)
}

fn save(coverage: &Coverage, folder: &Path) -> Result<(), CoverageError> {
    let path = folder.join(SAVED);
    let text = serde_json::to_string(coverage).map_err(|error| CoverageError::Saved {
        path: path.clone(),
        error,
    })?;
    write(&path, &text)
}

/// What a run saved; a run's folder or the file in it.
fn saved(run: &Path) -> Result<Coverage, CoverageError> {
    let path = if run.is_dir() {
        run.join(SAVED)
    } else {
        run.to_owned()
    };
    serde_json::from_str(&read(&path)?).map_err(|error| CoverageError::Saved { path, error })
}

fn read(path: &Path) -> Result<String, CoverageError> {
    fs::read_to_string(path).map_err(|error| CoverageError::Io {
        path: path.to_owned(),
        error,
    })
}

fn write(path: &Path, text: &str) -> Result<(), CoverageError> {
    fs::write(path, text).map_err(|error| CoverageError::Io {
        path: path.to_owned(),
        error,
    })
}
