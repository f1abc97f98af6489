//! `cargo xtask bench`: times that depend on this machine.
//!
//! The times are printed; nothing asserts them.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Args;
use runner::{
    event::{Event, Sink},
    exit::Exit,
    kselftest,
    lab::{Lab, LabError, load_corpus},
    options::{MachineOptions, cases_folder},
    output::Output,
    phases::{self, Idle},
    run::{Cancel, run},
    say,
    snapshot::Mode,
    summary::Summary,
    verdict::Verdict,
};
use vm_images::{Entry, Terminal};
use xshell::{Shell, cmd};

use crate::{
    signal::cancel_on_signal,
    suite::{SuiteError, SuiteOptions},
};

/// Number of boots; the median is printed.
const BOOTS: usize = 5;
/// Number of slow cases to list.
const SLOWEST: usize = 10;

/// Why a time could not be measured.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    /// No lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// No busybox to compare with.
    #[error("getting a static busybox to compare with: {0}")]
    Busybox(#[from] xshell::Error),
    /// The kernel's own tests.
    #[error(transparent)]
    Suite(#[from] SuiteError),
    /// A case without ops left the guest changed.
    #[error("measuring the phases of {0}; the other times are not reliable either")]
    Idle(String),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted; the times above are complete")]
    Interrupted,
    /// No handler for Ctrl-C.
    #[error("setting up Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    /// A file or socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl BenchError {
    fn exit(&self) -> Exit {
        match self {
            Self::Suite(error) => error.exit(),
            Self::Lab(error) => error.exit(),
            Self::Interrupted => Exit::Interrupted,
            _ => Exit::Host,
        }
    }
}

/// Options of `bench`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BenchOptions {
    /// Folder with the cases. Default: cases.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,

    /// Also print the time of the kernel's own tests.
    #[command(flatten)]
    pub suite: SuiteOptions,

    /// The machine.
    #[command(flatten)]
    pub machine: MachineOptions,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bench                            time to boot, time of an empty case by phase, and
                                               time of the corpus with its slowest cases
  cargo xtask bench --suite kselftest ~/linux  also the kernel's own tests of iommufd and vfio";

/// Runs the command, and prints an error to standard error.
pub fn main(options: &BenchOptions) -> ExitCode {
    match bench(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit().code(false)
        }
    }
}

/// Measures and prints each time as soon as it is known, so that an error does not hide the earlier
/// ones.
fn bench(bench: &BenchOptions) -> Result<(), BenchError> {
    let tree = bench.suite.kselftest()?;
    let cancel = cancel_on_signal()?;
    let folder = tempfile::tempdir()?;
    let mut machine = bench.machine.clone();
    machine
        .record
        .get_or_insert_with(|| folder.path().to_owned());
    let cases = bench.cases.clone().unwrap_or_else(cases_folder);
    let corpus = load_corpus(&cases).map_err(LabError::from)?;
    let lab = Lab::open(&machine, corpus, Mode::Ignore, &Terminal::new())?;
    let mut out = Output::stdout();
    writeln!(out, "{}", lab.header())?;
    let agent = median(&cancel, || agent_boot(&lab))?;
    writeln!(
        out,
        "boot to handshake        {:>8.2} s",
        agent.as_secs_f64()
    )?;
    let busybox = busybox(folder.path())?;
    let init = median(&cancel, || busybox_boot(&lab, &busybox))?;
    writeln!(
        out,
        "boot to a busybox init   {:>8.2} s",
        init.as_secs_f64()
    )?;
    let ratio = agent.as_secs_f64() / init.as_secs_f64();
    writeln!(
        out,
        "ratio                    {ratio:>8.2}   (goal: at most 1.50)"
    )?;
    write!(out, "{}", idle(&lab)?)?;
    let summary = corpus_run(&lab, machine.jobs(), &cancel)?;
    report(&mut out, &summary)?;
    write!(out, "{}", lab.with_sums(|sums| sums.clone()))?;
    if let Some(tree) = tree {
        let took = kselftest::build_and_run(&machine, tree).map_err(SuiteError::from)?;
        let (took, own) = (took.as_secs_f64(), summary.run.ms as f64 / 1000.0);
        writeln!(
            out,
            "kernel's own suites      {took:>8.2} s   (this corpus: {own:.2} s)"
        )?;
    }
    Ok(())
}

fn median(
    cancel: &Cancel,
    mut measure: impl FnMut() -> Result<Duration, BenchError>,
) -> Result<Duration, BenchError> {
    let mut times = Vec::new();
    for _ in 0..BOOTS {
        times.push(measure()?);
        if cancel.is_cancelled() {
            return Err(BenchError::Interrupted);
        }
    }
    times.sort();
    Ok(times[BOOTS / 2])
}

fn agent_boot(lab: &Lab) -> Result<Duration, BenchError> {
    let (_, guest) = lab.boot().map_err(LabError::from)?;
    let took = guest.boot;
    guest.end();
    Ok(took)
}

fn idle(lab: &Lab) -> Result<Idle, BenchError> {
    let (_, mut guest) = lab.boot().map_err(LabError::from)?;
    let idle = Idle::measure(&mut guest).map_err(BenchError::Idle)?;
    guest.end();
    Ok(idle)
}

/// Boots the same machine and kernel with busybox's init, the smallest user space that can run
/// there. Measures from the start of QEMU to the first byte that a shell writes to the agent's
/// port.
fn busybox_boot(lab: &Lab, initramfs: &Path) -> Result<Duration, BenchError> {
    let start = Instant::now();
    let mut running = lab.start_with(initramfs)?;
    let mut byte = [0];
    running.replies.read_exact(&mut byte)?;
    Ok(start.elapsed())
}

const INITTAB: &str = "::sysinit:/bin/busybox sh /up\n";
const UP: &str = "/bin/busybox mount -t devtmpfs none /dev\n\
                  for port in /dev/vport*; do echo up > $port; done\n";

fn busybox(folder: &Path) -> Result<PathBuf, BenchError> {
    let shell = Shell::new()?;
    shell.change_dir(folder);
    cmd!(shell, "apt-get --quiet download busybox-static")
        .ignore_stdout()
        .quiet()
        .run()?;
    let package = cmd!(shell, "find . -name busybox-static*.deb")
        .quiet()
        .read()?;
    cmd!(shell, "dpkg -x {package} busybox").quiet().run()?;
    let found = cmd!(shell, "find busybox -path *bin/busybox -type f")
        .quiet()
        .read()?;
    let binary = std::fs::read(folder.join(found))?;
    let file = |name: &str, mode, content: &[u8]| Entry::File {
        name: name.to_owned(),
        mode,
        content: content.to_vec(),
    };
    let folder_entry = |name: &str| Entry::Dir {
        name: name.to_owned(),
    };
    let entries = vec![
        folder_entry("bin"),
        file("bin/busybox", 0o755, &binary),
        folder_entry("etc"),
        file("etc/inittab", 0o644, INITTAB.as_bytes()),
        file("up", 0o644, UP.as_bytes()),
    ];
    let path = folder.join("busybox.cpio");
    std::fs::write(&path, vm_images::initramfs(binary, entries))?;
    Ok(path)
}

/// Records the time of the first verdict.
struct First {
    start: Instant,
    first: std::sync::Arc<std::sync::OnceLock<Duration>>,
}

impl Sink for First {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        if let Event::CaseEnded(_) = event {
            self.first.get_or_init(|| self.start.elapsed());
        }
        Ok(())
    }
}

fn corpus_run(lab: &Lab, jobs: usize, cancel: &Cancel) -> Result<Summary, BenchError> {
    let first = std::sync::Arc::default();
    let sink = First {
        start: Instant::now(),
        first: std::sync::Arc::clone(&first),
    };
    let cases: Vec<_> = lab.corpus.cases.iter().collect();
    let summary = run(lab, &cases, jobs, &mut [Box::new(sink)], cancel)?;
    if summary.run.interrupted {
        return Err(BenchError::Interrupted);
    }
    if let Some(first) = first.get() {
        say!("first verdict            {:>8.2} s", first.as_secs_f64());
    }
    Ok(summary)
}

fn report(out: &mut impl Write, summary: &Summary) -> io::Result<()> {
    let ran = || {
        summary
            .cases
            .iter()
            .filter(|record| record.verdict != Verdict::Skip)
    };
    let median = phases::median(ran().map(|record| record.ms));
    writeln!(
        out,
        "whole corpus             {:>8.2} s   (goal: at most 240)",
        summary.run.ms as f64 / 1000.0
    )?;
    writeln!(out, "cases that ran           {:>8}", ran().count())?;
    writeln!(
        out,
        "median per case          {median:>8} ms  (goal: at most 40)"
    )?;
    writeln!(out, "slowest:")?;
    let mut slow: Vec<_> = ran().collect();
    slow.sort_by_key(|record| std::cmp::Reverse(record.ms));
    for record in slow.iter().take(SLOWEST) {
        writeln!(out, "  {:>6} ms  {}", record.ms, record.id)?;
    }
    Ok(())
}
