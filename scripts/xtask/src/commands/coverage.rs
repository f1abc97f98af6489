//! `cargo xtask coverage`: kernel code coverage of a run.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use coverage::{Coverage, Diff, Lcov, LcovError, Reasons, ReasonsError, SavedError};
use runner::{
    counters::{COUNTERS, KeepCounters},
    exit::Exit,
    kselftest,
    options::{MachineOptions, root},
    record::timestamp,
    root::runs,
    say,
};

use crate::{
    run_conformance::{self, RunError},
    run_options::RunOptions,
    suite::{SuiteError, SuiteOptions},
};

/// Options of `coverage`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CoverageOptions {
    /// The run.
    #[command(flatten)]
    pub run: RunOptions,

    /// Also write HTML pages that show the source with counts.
    #[arg(long, value_name = "DIR")]
    pub html: Option<PathBuf>,

    /// Also write the tracefile for lcov's tools to this file.
    #[arg(long, value_name = "FILE")]
    pub lcov: Option<PathBuf>,

    /// Print the coverage of an earlier run (a folder in results/runs) again without running cases.
    /// With several, print what any of them reached of the code that the first one has.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["diff", "suite"])]
    pub from: Vec<PathBuf>,

    /// Also print the coverage of the kernel's own tests.
    #[command(flatten)]
    pub suite: SuiteOptions,

    /// Compare the coverage of the runs A and B without running cases: the totals, and the error
    /// returns that only one of them reached.
    #[arg(long, num_args = 2, value_names = ["A", "B"], conflicts_with = "suite")]
    pub diff: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask coverage                          the whole corpus
  cargo xtask coverage iommufd vfio-device      two folders of it
  cargo xtask coverage --html pages             source with counts, for a browser
  cargo xtask coverage --linux ~/linux          a kernel tree with your patch
  cargo xtask coverage --from results/runs/latest
  cargo xtask coverage --from results/runs/INTEL --from results/runs/AMD
  cargo xtask coverage --suite kselftest ~/linux
  cargo xtask coverage --diff results/runs/A results/runs/B

The first run builds a kernel with clang; `scripts/bootstrap --coverage` installs clang and lcov.
results/unreachable.yaml lists the error returns that no case can reach, each with its reason.
The exit codes are those of run-conformance. The exit code is also 1 if an entry of that list
matches no error return, or one that was reached.";

/// Name of the tracefile in a run's folder.
const TRACEFILE: &str = "coverage.info";

/// Why there is no coverage.
#[derive(Debug, thiserror::Error)]
enum CoverageError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Lcov(#[from] LcovError),
    #[error(transparent)]
    Reasons(#[from] ReasonsError),
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error(transparent)]
    Saved(#[from] SavedError),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "coverage of a ready kernel image needs the gcov notes of its build; build its source \
         tree with --linux TREE, or store the counters alone with run-conformance --gcov DIR"
    )]
    ReadyImage,
    #[error(
        "--html and --lcov show one run; join the runs' files {TRACEFILE} by `lcov --add-tracefile`"
    )]
    ExportOfSeveral,
}

impl CoverageError {
    fn exit(&self) -> Exit {
        match self {
            Self::Run(error) => error.exit(),
            Self::Suite(error) => error.exit(),
            Self::Reasons(_)
            | Self::Saved(SavedError::Malformed { .. })
            | Self::ReadyImage
            | Self::ExportOfSeveral => Exit::Usage,
            Self::Lcov(_) | Self::Saved(SavedError::Io { .. }) | Self::Io { .. } => Exit::Host,
        }
    }
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &CoverageOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        match &error {
            CoverageError::Run(error) => eprintln!("{}", run_conformance::complaint(error)),
            _ => eprintln!("error: {error}"),
        }
        error.exit()
    });
    exit.code(options.run.bisect)
}

fn go(options: &CoverageOptions) -> Result<Exit, CoverageError> {
    if let [first, second] = options.diff.as_slice() {
        let diff = Diff::new(&Coverage::load(first)?, &Coverage::load(second)?);
        say!("{}", diff.to_string().trim_end());
        return Ok(Exit::Ok);
    }
    let run = &options.run;
    if run.list || run.check || run.print_qemu || run.print_config_fragment {
        return Ok(run_conformance::go(run, KeepCounters::InRecord)?.0);
    }
    if run.machine.guest.is_ready() {
        return Err(CoverageError::ReadyImage);
    }
    let suite = options.suite.kselftest()?;
    let lcov = Lcov::find()?;
    let reasons = reasons()?;
    if let [first, others @ ..] = options.from.as_slice()
        && !others.is_empty()
    {
        return joined(options, &lcov, &reasons, first, others);
    }
    let (ran, folder) = match options.from.first() {
        Some(folder) => (Exit::Ok, folder.clone()),
        None => match run_conformance::go(run, KeepCounters::InRecord)? {
            (exit @ Exit::Interrupted, _) | (exit, None) => return Ok(exit),
            (exit, Some(folder)) => (exit, folder),
        },
    };
    let coverage = measure(options, &lcov, &folder)?;
    let told = tell(&coverage, &reasons, &folder)?;
    if let Some(tree) = suite {
        let theirs = run_suite(&run.machine, tree, &lcov)?;
        let table = coverage.beside("corpus", &theirs, "kselftest");
        write(&folder.join("beside-kselftest.txt"), &table)?;
        say!("\n{table}");
    }
    Ok(if ran == Exit::Ok { told } else { ran })
}

/// Reads the counters of a run, and writes its coverage in each requested format.
fn measure(
    options: &CoverageOptions,
    lcov: &Lcov,
    folder: &Path,
) -> Result<Coverage, CoverageError> {
    let gcov = options.run.gcov.clone();
    let counters = gcov.unwrap_or_else(|| folder.join(COUNTERS));
    let info = folder.join(TRACEFILE);
    let coverage = Coverage::of_trace(&lcov.capture(&counters, &info)?, &counters)?;
    coverage.save(folder)?;
    export(options, lcov, &info, &counters)?;
    Ok(coverage)
}

/// Prints what any of several runs reached, in a record of its own.
fn joined(
    options: &CoverageOptions,
    lcov: &Lcov,
    reasons: &Reasons,
    first: &Path,
    others: &[PathBuf],
) -> Result<Exit, CoverageError> {
    if options.html.is_some() || options.lcov.is_some() {
        return Err(CoverageError::ExportOfSeveral);
    }
    let record = options.run.machine.record.clone();
    let folder = record.unwrap_or_else(|| runs().join(format!("{}-joined", timestamp())));
    let made = fs::create_dir_all(&folder);
    made.map_err(|error| CoverageError::Io {
        path: folder.clone(),
        error,
    })?;
    let counters = first.join(COUNTERS);
    let mut trace = lcov.capture(&counters, &folder.join(TRACEFILE))?;
    for other in others {
        let info = folder.join("other.info");
        trace.join(&lcov.capture(&other.join(COUNTERS), &info)?);
        let _ = fs::remove_file(info);
    }
    let coverage = Coverage::of_trace(&trace, &counters)?;
    coverage.save(&folder)?;
    tell(&coverage, reasons, &folder)
}

/// Runs the kernel's own tests on the same kernel, in a run of their own.
fn run_suite(
    machine: &MachineOptions,
    tree: &Path,
    lcov: &Lcov,
) -> Result<Coverage, CoverageError> {
    let name = format!("{}-kselftest", timestamp());
    let folder = runs().join(name);
    let machine = MachineOptions {
        counters: KeepCounters::InRecord,
        record: Some(folder.clone()),
        ..machine.clone()
    };
    kselftest::build_and_run(&machine, tree).map_err(SuiteError::from)?;
    let counters = folder.join(COUNTERS);
    let trace = lcov.capture(&counters, &folder.join(TRACEFILE))?;
    let coverage = Coverage::of_trace(&trace, &counters)?;
    coverage.save(&folder)?;
    Ok(coverage)
}

/// Prints the coverage, and stores the same text in the run's folder.
fn tell(coverage: &Coverage, reasons: &Reasons, folder: &Path) -> Result<Exit, CoverageError> {
    let sorted = reasons.sort(coverage);
    let text = format!("\n{}\n{sorted}", coverage.table());
    write(&folder.join("coverage.txt"), &text)?;
    write(&folder.join("coverage-gaps.txt"), &coverage.gaps())?;
    say!("{}", text.trim_end());
    say!(
        "\n{}; open: {}, stale: {}",
        coverage.summary(),
        sorted.open.len(),
        sorted.stale.len()
    );
    say!("record: {}", folder.display());
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
