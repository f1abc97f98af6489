//! `cargo xtask run-conformance`: from options to an exit code.

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use case::{Case, Corpus};
use clap::Args;
use runner::{
    baseline::{Baseline, BaselineError},
    build_failure::BuildFailure,
    configuration,
    counters::KeepCounters,
    event::Sink,
    exit::Exit,
    findings,
    foretell::Foreteller,
    judge::Judgement,
    lab::{Lab, LabError, folders, load_corpus},
    options::{GuestOptions, MachineOptions},
    output::Output,
    preview,
    races::ListError,
    records::NoRecord,
    report::{Detail, Human, Json, Ktap},
    run::run,
    runnable,
    select::{BadFilter, Selection, shuffle},
    snapshot::{self, BadUpdate},
};
use vm_images::{ReadyFacts, Source, Terminal};

use crate::{
    commands::{
        matrix::run_all,
        repeat::{Repeat, repeat},
    },
    lists::Lists,
    run_options::{Format, RunOptions},
    signal::cancel_on_signal,
};

/// Options of `run-conformance`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunConformanceOptions {
    /// The run.
    #[command(flatten)]
    pub run: Lists<RunOptions>,

    /// Run the cases N times, and list those with more than one verdict. Each run has a record of
    /// its own.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    #[arg(conflicts_with_all = ["list", "check", "bless", "bisect", "print_qemu", "print_config_fragment"])]
    pub repeat: Option<u64>,

    /// With --repeat: fail if a race never ended in one of the orders in which it may, unless
    /// results/races.yaml lists that order with the reason.
    #[arg(long, requires = "repeat")]
    pub orders: bool,

    /// Run the cases until one is not as expected, or N times with --repeat.
    #[arg(long)]
    #[arg(conflicts_with_all = ["list", "check", "bless", "bisect", "print_qemu", "print_config_fragment"])]
    pub until_fail: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run-conformance                            the whole corpus
  cargo xtask run-conformance stage2                     one folder
  cargo xtask run-conformance -v stage2                  with a line for each case and clause
  cargo xtask run-conformance 'stage2/*' --clause S2.7*  the cases that prove some clauses
  cargo xtask run-conformance --linux ~/linux            a kernel tree with your patch
  cargo xtask run-conformance --kernel bzImage           an image that a CI built
  cargo xtask run-conformance --kbuild ~/build           a build folder, as it is
  cargo xtask run-conformance --package IMAGE.deb --package MODULES.deb   a distribution's kernel
  cargo xtask run-conformance --platform intel,amd --release 6.12,7.3   four runs, side by side
  cargo xtask run-conformance --all-platforms            each platform
  cargo xtask run-conformance --until-fail stage2        until a verdict is not as expected
  cargo xtask run-conformance --repeat 20 --orders race  races, and whether each order was seen
  cargo xtask run-conformance --repeat 5 --shuffle       each run in another order
  cargo xtask run-conformance --accel kvm stage1         KVM, or an error that gives the reason
  cargo xtask run-conformance --baseline known.yaml      only new failures turn the run red
  cargo xtask run-conformance --gcov counters stage2     also store gcov counters of the kernel
  git bisect run cargo xtask run-conformance --bisect --linux . stage2

Exit codes:
  0  every verdict as expected (PASS, SKIP, XFAIL), or its failure known by --baseline; also where a
     kernel newer than the reference mends a known deviation or changes a transcript (not with --strict)
  1  a case failed, or the kernel did not build or boot (the record then has `build` or `boot`)
  2  wrong usage or input (a damaged image, package, ...), or a mistake in a case file
  3  no case selected
  70  this host lacks something or failed: QEMU, a program, disk space, a network
  130  interrupted; the record has every case judged before
A closed pipe (`| head`) does not end the run: the record is complete, and the exit code is the same.
With --bisect: 0 and 1 stay, but a kernel that does not build or boot is 125, as all others are;
130 becomes 255, which ends the bisection.";

/// Why a run ended without a summary.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Update(#[from] BadUpdate),
    #[error("--repeat and --until-fail run on one kernel and one platform")]
    RepeatedList,
    #[error(
        "only a run with text for people takes lists of platforms, releases or flavours: not --list, \
         --check, --bless, --bisect, --gcov, --print-..., nor another --format; \
         matrix.json in the record is for programs"
    )]
    ListWithoutRun,
    #[error("KTAP has results only; list the cases with --format human or json")]
    ListAsKtap,
    #[error(transparent)]
    Record(#[from] NoRecord),
    #[error(transparent)]
    Baseline(#[from] BaselineError),
    #[error(transparent)]
    Orders(#[from] ListError),
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

impl RunError {
    pub fn exit(&self) -> Exit {
        match self {
            Self::Filter(_)
            | Self::Update(_)
            | Self::ListAsKtap
            | Self::RepeatedList
            | Self::ListWithoutRun
            | Self::Baseline(_)
            | Self::Orders(_) => Exit::Usage,
            Self::Lab(error) => error.exit(),
            Self::Record(_) | Self::Output(_) | Self::Signal(_) => Exit::Host,
        }
    }
}

impl RunConformanceOptions {
    const fn is_repeated(&self) -> bool {
        self.repeat.is_some() || self.until_fail
    }
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &RunConformanceOptions) -> ExitCode {
    let repeated = Repeat {
        times: options.repeat,
        until_fail: options.until_fail,
        orders: options.orders,
    };
    let run = &options.run.options;
    let combinations = options.run.combinations();
    let exit = match (combinations.as_slice(), options.is_repeated()) {
        ([_, _, ..], true) => Err(RunError::RepeatedList),
        ([_, _, ..], false) if !run.runs() => Err(RunError::ListWithoutRun),
        (all @ [_, _, ..], false) => run_all(run, all),
        (_, true) => repeat(run, repeated),
        (_, false) => go(run, KeepCounters::No).map(|(exit, _)| exit),
    };
    let exit = exit.unwrap_or_else(|error| {
        eprintln!("{}", complaint(&error));
        error.exit()
    });
    exit.code(run.bisect)
}

/// Formats an error. Mistakes in case files are already formatted, each with its own heading.
pub fn complaint(error: &RunError) -> String {
    match error {
        RunError::Lab(LabError::Corpus(case::CorpusError::Problems { .. })) => error.to_string(),
        _ => format!("error: {error}"),
    }
}

/// Runs the cases. Returns the exit code, and the folder of the run if one was created. Counters go
/// to the folder given with --gcov, or else to `counters`.
pub fn go(
    options: &RunOptions,
    counters: KeepCounters,
) -> Result<(Exit, Option<PathBuf>), RunError> {
    let selection = Selection::new(&options.filters, &options.clause)?;
    let corpus = load_corpus(&options.cases()).map_err(LabError::from)?;
    if options.check {
        // Only the project's own cases have stored snapshots.
        let own = options.cases.is_none();
        return Ok((check(&corpus, own)?, None));
    }
    let machine = options.machine(counters);
    if options.print_qemu {
        writeln!(Output::stdout(), "{}", preview::command_line(&machine)?)?;
        return Ok((Exit::Ok, None));
    }
    if options.print_config_fragment {
        write!(Output::stdout(), "{}", fragment(&machine.guest, &corpus)?)?;
        return Ok((Exit::Ok, None));
    }
    let selected = match selection.of(&corpus.cases) {
        Ok(selected) => selected,
        Err(nothing) => {
            eprintln!("error: {nothing}");
            return Ok((Exit::Nothing, None));
        }
    };
    for (old, new) in selection.renamed(&selected) {
        eprintln!("note: {old} is now called {new}");
    }
    if options.skips {
        list_skips(&selected, options.format, &machine)?;
        return Ok((Exit::Ok, None));
    }
    if options.list {
        list(&selected, options.format)?;
        return Ok((Exit::Ok, None));
    }
    judge(options, &machine, corpus, &selected)
}

/// Returns the fragment with the options that cases need of the kernel.
fn fragment(guest: &GuestOptions, corpus: &Corpus) -> Result<String, LabError> {
    let (release, config) = match (guest.source(), &guest.config) {
        (Source::Ready(given), _) => {
            let ReadyFacts {
                release, config, ..
            } = vm_images::facts_of(&given)?;
            if config.is_none() {
                eprintln!(
                    "note: no configuration of this kernel was found: --config FILE gives it"
                );
            }
            (release, config)
        }
        (_, Some(file)) => {
            let config = vm_images::read_config(file)?;
            (config.version.clone(), Some(config))
        }
        (source, None) => {
            let series = source.series()?.unwrap_or(uapi::SERIES);
            (series.to_string(), None)
        }
    };
    Ok(configuration::fragment(corpus, &release, config.as_ref())?)
}

fn check(corpus: &Corpus, own: bool) -> Result<Exit, RunError> {
    let mut out = Output::stdout();
    for (folder, cases) in folders(&corpus.cases) {
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
    let never_run = runnable::problems(&corpus.cases).map_err(LabError::from)?;
    for problem in &never_run {
        writeln!(out, "{problem}")?;
    }
    writeln!(
        out,
        "{} cases, {} clauses, {} findings",
        corpus.cases.len(),
        corpus.clauses.len(),
        corpus.findings.iter().count()
    )?;
    Ok(
        if faults.is_empty() && problems.is_empty() && never_run.is_empty() {
            Exit::Ok
        } else {
            Exit::Usage
        },
    )
}

fn list(selected: &[Case], format: Format) -> Result<(), RunError> {
    let mut out = Output::stdout();
    for case in selected {
        match format {
            Format::Human => writeln!(out, "{:<60} {}", case.id, case.summary)?,
            Format::Json => writeln!(out, "{}", listed(case))?,
            Format::Ktap => return Err(RunError::ListAsKtap),
        }
    }
    Ok(())
}

fn list_skips(selected: &[Case], format: Format, machine: &MachineOptions) -> Result<(), RunError> {
    let foreteller = Foreteller::new(machine)?;
    let mut out = Output::stdout();
    let skipped = selected.iter().map(|case| (case, foreteller.skip(case)));
    for (case, need) in skipped.filter_map(|(case, need)| Some((case, need?))) {
        let reason = Judgement::skip(&need).reason;
        match format {
            Format::Human => writeln!(out, "{:<60} {}", case.id, reason.unwrap_or_default())?,
            Format::Json => writeln!(
                out,
                "{}",
                serde_json::json!({"id": case.id, "reason": reason})
            )?,
            Format::Ktap => return Err(RunError::ListAsKtap),
        }
    }
    Ok(())
}

fn listed(case: &Case) -> serde_json::Value {
    let clauses: Vec<_> = case.clauses().collect();
    serde_json::json!({
        "id": case.id,
        "summary": case.summary,
        "clauses": clauses,
        "races": case.races(),
    })
}

fn judge(
    options: &RunOptions,
    machine: &MachineOptions,
    corpus: Corpus,
    selected: &[Case],
) -> Result<(Exit, Option<PathBuf>), RunError> {
    let baseline = options.baseline.as_deref().map(Baseline::load);
    let baseline = baseline.transpose()?.unwrap_or_default();
    let cancel = cancel_on_signal()?;
    let mode = options.mode()?;
    let progress = Terminal::new();
    let opened = Lab::open(machine, corpus, mode, &progress);
    drop(progress);
    if cancel.is_cancelled() {
        return Ok((Exit::Interrupted, None));
    }
    let opened = opened.map(|lab| lab.with_baseline(baseline).with_strict(options.strict));
    let lab = match opened {
        Err(error) if error.exit() == Exit::Kernel => return not_built(options, machine, &error),
        opened => opened?,
    };
    let seed = options.seed();
    let lab = lab.with_order(seed);
    let mut sinks = sinks(options, &lab.path())?;
    let mut cases: Vec<_> = selected.iter().collect();
    seed.into_iter().for_each(|seed| shuffle(&mut cases, seed));
    let summary = run(&lab, &cases, machine.jobs(), &mut sinks, &cancel)?;
    Ok((summary.exit(options.strict), Some(lab.path())))
}

/// Records a kernel that cannot be built as a failure of that kernel.
fn not_built(
    options: &RunOptions,
    machine: &MachineOptions,
    error: &LabError,
) -> Result<(Exit, Option<PathBuf>), RunError> {
    let failure = BuildFailure::new(machine, &error.to_string())?;
    let path = failure.path();
    let summary = failure.tell(&mut sinks(options, &path)?)?;
    Ok((summary.exit(options.strict), Some(path)))
}

fn sinks(options: &RunOptions, path: &Path) -> io::Result<Vec<Box<dyn Sink>>> {
    let ktap = std::fs::File::create(path.join("report.ktap"))?;
    let out = Output::stdout();
    let output: Box<dyn Sink> = match options.format {
        Format::Human => {
            let detail = match options.verbose {
                true => Detail::Verbose,
                false => Detail::Brief,
            };
            Box::new(Human::new(out, path.display().to_string(), detail).with_bar())
        }
        Format::Ktap => Box::new(Ktap::new(out)),
        Format::Json => Box::new(Json(out)),
    };
    Ok(vec![Box::new(Ktap::new(ktap)), output])
}
