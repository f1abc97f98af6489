//! What a run is asked to do: shared by the command line and the libtest-mimic entry.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use vm_images::{Flavour, Source};

use crate::accel::AccelChoice;
pub use crate::root::root;

/// Options of `run-conformance`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Cases to run: an id, a folder, a glob over ids, or a part of an id. Default: all.
    #[arg(value_name = "CASE")]
    pub filters: Vec<String>,

    /// Only cases that speak about these clauses (an id such as S2.7a, or a glob such as S2.*).
    #[arg(long, value_name = "CLAUSE")]
    pub clause: Vec<String>,

    /// The machine to run on: a file of vm-images/platforms.
    #[arg(long, default_value = "intel")]
    pub platform: String,

    /// Guests at a time. Default: the number of processors.
    #[arg(long, short)]
    pub jobs: Option<usize>,

    /// Processors of each guest. What a case does at once races in earnest only with more than one.
    #[arg(long, value_name = "COUNT", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=16))]
    pub processors: u32,

    /// Print the ids and summaries of the selected cases, and boot nothing.
    #[arg(long)]
    pub list: bool,

    /// Read all cases and stored snapshots and report every mistake in them, and boot nothing.
    #[arg(long)]
    pub check: bool,

    /// Store changed transcripts as the new snapshots, and print what changed.
    #[arg(long)]
    pub bless: bool,

    /// Do not compare transcripts with snapshots; explicit expectations still decide.
    #[arg(long, conflicts_with = "bless")]
    pub no_snapshots: bool,

    /// What goes to standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,

    /// Kernel series whose source the distribution packages, such as 6.12. Default: the newest.
    #[arg(long, value_name = "SERIES", group = "image")]
    pub release: Option<String>,

    /// Kernel source tree to build; it stays clean.
    #[arg(long, value_name = "TREE", group = "image")]
    pub linux: Option<PathBuf>,

    /// Ready kernel image (bzImage).
    #[arg(long, value_name = "IMAGE", group = "image")]
    pub kernel: Option<PathBuf>,

    /// Modules of that image.
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub modules: Option<PathBuf>,

    /// QEMU binary.
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,

    /// What runs the guests. A refusal of KVM is remembered for a day; `kvm` tries it again.
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,

    /// Added to the kernel's command line.
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub append: String,

    /// Print the QEMU command line and do nothing else. KERNEL and INITRAMFS stand for what is
    /// not built yet.
    #[arg(long)]
    pub print_qemu: bool,

    /// Exit codes for `git bisect run`: 0 good, 1 bad, 125 cannot be tested.
    #[arg(long)]
    pub bisect: bool,

    /// Folder with the cases.
    #[arg(long, value_name = "DIR")]
    pub cases: Option<PathBuf>,

    /// Folder that receives the record of the run. Default: results/runs/TIME.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,

    /// Boot a kernel that counts what it executes, and leave the counters of each guest in
    /// DIR/guest-N, beside the notes of their build: for lcov, llvm-cov or any gcov tool.
    #[arg(long, value_name = "DIR")]
    pub gcov: Option<PathBuf>,

    /// Keep the counters in the run's folder, where no other is given.
    #[arg(skip)]
    pub counting: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask run-conformance                            the whole corpus
  cargo xtask run-conformance stage2                     a folder of it
  cargo xtask run-conformance 'stage2/*' --clause S2.7*  what proves some clauses
  cargo xtask run-conformance --linux ~/linux            a kernel tree with your patch
  cargo xtask run-conformance --kernel bzImage           an image that a CI built
  cargo xtask run-conformance --processors 2 race        what happens at once, in earnest
  cargo xtask run-conformance --accel kvm stage1         KVM, or the reason why not
  cargo xtask run-conformance --gcov counters stage2     which code of the kernel it reached
  git bisect run cargo xtask run-conformance --bisect --linux . stage2

Exit codes:
  0  every verdict as expected (PASS, SKIP, XFAIL)
  1  a case failed
  2  wrong usage, or a mistake in a case file
  3  no case selected
  4  the machine could not be built or booted
  130  interrupted; what was judged before is in the record
With --bisect: 0 for 0, 1 for 1, 125 for everything else.";

/// Forms of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person.
    Human,
    /// Kernel TAP.
    Ktap,
    /// One object for each event, one a line.
    Json,
}

impl Options {
    /// What a run without any option is.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            filters: Vec::new(),
            clause: Vec::new(),
            platform: "intel".to_owned(),
            jobs: None,
            processors: 1,
            list: false,
            check: false,
            bless: false,
            no_snapshots: false,
            format: Format::Human,
            release: None,
            linux: None,
            kernel: None,
            modules: None,
            qemu: PathBuf::from("qemu-system-x86_64"),
            accel: AccelChoice::Auto,
            append: String::new(),
            print_qemu: false,
            bisect: false,
            cases: None,
            record: None,
            gcov: None,
            counting: false,
        }
    }

    /// Where the kernel comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        match (&self.linux, &self.kernel) {
            (Some(tree), _) => Source::Tree(tree.clone()),
            (None, Some(kernel)) => Source::Image {
                kernel: kernel.clone(),
                modules: self.modules.clone(),
            },
            (None, None) => Source::Release(self.release.clone()),
        }
    }

    /// What the kernel is built for: its counters are of use only where they are kept.
    #[must_use]
    pub fn flavour(&self) -> Flavour {
        if self.counting || self.gcov.is_some() {
            Flavour::Coverage
        } else {
            Flavour::Plain
        }
    }

    /// Guests at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        jobs(self.jobs)
    }

    /// The folder with the cases.
    #[must_use]
    pub fn cases(&self) -> PathBuf {
        self.cases.clone().unwrap_or_else(|| root().join("cases"))
    }
}

/// Guests at a time: as many as asked for, or one for each processor.
#[must_use]
pub fn jobs(asked: Option<usize>) -> usize {
    let processors = || std::thread::available_parallelism().map_or(1, Into::into);
    asked.unwrap_or_else(processors).max(1)
}
