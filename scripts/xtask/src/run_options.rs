//! Options of commands that run cases.

use std::{
    path::PathBuf,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::{Args, ValueEnum};
use runner::{
    counters::KeepCounters,
    options::{MachineOptions, cases_folder},
    snapshot::{BadUpdate, Mode},
};

/// Selects the cases to run, the machine, and the output.
#[derive(Debug, Clone, Args)]
pub struct RunOptions {
    /// Cases to run: an id, a folder, a glob over ids, or a part of an id. Default: all.
    #[arg(value_name = "CASE")]
    pub filters: Vec<String>,

    /// Run only the cases that prove these clauses (an id such as S2.7a, or a glob such as S2.*).
    #[arg(long, value_name = "CLAUSE")]
    pub clause: Vec<String>,

    /// List the ids and summaries of the selected cases without booting a guest.
    #[arg(long)]
    pub list: bool,

    /// With --list: list the ids and reasons of the cases that will be SKIP on this platform and
    /// configuration of the kernel, without building or booting it.
    #[arg(long, requires = "list")]
    pub skips: bool,

    /// Check all cases and stored snapshots for mistakes without booting a guest.
    #[arg(long, conflicts_with = "bless")]
    pub check: bool,

    /// Store changed transcripts as the new snapshots, and print what changed.
    #[arg(long)]
    pub bless: bool,

    /// Do not compare transcripts with snapshots. Explicit expectations still decide.
    #[arg(long, conflicts_with = "bless")]
    pub no_snapshots: bool,

    /// Format of standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,

    /// Print a line for each case and each clause. The default is a line for each folder of cases,
    /// with the details of unexpected verdicts.
    #[arg(long, short)]
    pub verbose: bool,

    /// Print the QEMU command line and exit. KERNEL and INITRAMFS are placeholders for files that
    /// are not built yet.
    #[arg(long)]
    pub print_qemu: bool,

    /// Print the options of the kernel's configuration that cases need, as a fragment to merge, and
    /// exit. With a ready kernel or --config, print only what its configuration lacks.
    #[arg(long)]
    pub print_config_fragment: bool,

    /// Use the exit codes of `git bisect run`: 0 good, 1 bad, 125 cannot be tested.
    #[arg(long)]
    pub bisect: bool,

    /// Failures that are known, so that only new ones turn the run red: a file that
    /// `cargo xtask baseline` wrote, or the folder of an earlier run. Those that are mended are
    /// listed.
    #[arg(long, value_name = "FILE|RUN", conflicts_with = "bisect")]
    pub baseline: Option<PathBuf>,

    /// Fail also where a kernel newer than the reference release mends a known deviation, or where
    /// only the transcript of a case differs from its snapshot; and where an entry of --baseline is
    /// of no use any more, because the failure is mended, its last day is over, or no case has its
    /// id.
    #[arg(long)]
    pub strict: bool,

    /// Run the cases in an order that SEED decides, a new one by default. What an earlier case leaves
    /// in a guest then shows. With --repeat each run has an order of its own.
    #[arg(long, value_name = "SEED", num_args = 0..=1, require_equals = true)]
    pub shuffle: Option<Option<u64>>,

    /// Folder with the cases. Default: cases.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,

    /// Boot a kernel with gcov counters, and store the counters of each guest in DIR/guest-N with
    /// the notes of the build, for lcov, llvm-cov and other gcov tools.
    #[arg(long, value_name = "DIR")]
    pub gcov: Option<PathBuf>,

    /// The machine.
    #[command(flatten)]
    pub machine: MachineOptions,
}

/// The number of new seeds, so that they are short.
const NEW_SEEDS: u64 = 1_000_000;

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Human,
    /// Kernel TAP.
    Ktap,
    /// One JSON object per line for each event.
    Json,
}

impl RunOptions {
    /// The folder with the cases.
    pub fn cases(&self) -> PathBuf {
        self.cases.clone().unwrap_or_else(cases_folder)
    }

    /// The seed of the order of the cases, if they are not to run in their own order.
    pub fn seed(&self) -> Option<u64> {
        let seconds = || SystemTime::now().duration_since(UNIX_EPOCH);
        let new = || seconds().map_or(0, |now| now.as_secs() % NEW_SEEDS);
        let seed = self.shuffle.map(|seed| seed.unwrap_or_else(new))?;
        Some(seed.wrapping_add(self.machine.turn))
    }

    /// Whether these options make a run with text for people.
    pub fn runs(&self) -> bool {
        let prints = self.print_qemu || self.print_config_fragment;
        let other = self.list || self.check || self.bless || self.bisect || self.gcov.is_some();
        !prints && !other && self.format == Format::Human
    }

    /// Returns how to compare transcripts with snapshots.
    pub fn mode(&self) -> Result<Mode, BadUpdate> {
        match (self.bless, self.no_snapshots) {
            (true, _) => Ok(Mode::Bless),
            (false, true) => Ok(Mode::Ignore),
            (false, false) => Mode::of_environment(),
        }
    }

    /// Returns the options of the machine. Counters go to the folder given with --gcov, or else to
    /// `otherwise`.
    pub fn machine(&self, otherwise: KeepCounters) -> MachineOptions {
        MachineOptions {
            counters: self.gcov.clone().map_or(otherwise, KeepCounters::In),
            ..self.machine.clone()
        }
    }
}
