//! What `cargo xtask mutants` is asked to do.

use std::path::PathBuf;

use clap::Args;
use runner::accel::AccelChoice;

/// A run ends after so many kills where not all are asked for.
pub const MANY: usize = 20;

/// Options of `mutants`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct Options {
    /// Mutants: an id, or a part of an id, of an area, of a file or of a function. Default: all.
    #[arg(value_name = "MUTANT")]
    pub filters: Vec<String>,

    /// Print the mutants, and build nothing.
    #[arg(long)]
    pub list: bool,

    /// Go on to the next mutant at the first case that notices this one. By default its run ends
    /// after 20 of them.
    #[arg(long, conflicts_with = "every_killer")]
    pub first_kill: bool,

    /// Run the whole corpus on each mutant, however many cases notice it.
    #[arg(long)]
    pub every_killer: bool,

    /// Build one kernel that has all of the mutants and is told at boot which to be: seconds for
    /// each instead of a build for each. The code differs a little from that of a true edit.
    #[arg(long)]
    pub together: bool,

    /// Go on after a mutant that does not fit the source, or does not build without a warning.
    #[arg(long)]
    pub keep_going: bool,

    /// Run only so many cases on each mutant, those that are likeliest to notice it. What
    /// survives them wants the whole corpus next.
    #[arg(long, value_name = "N")]
    pub likely: Option<usize>,

    /// Only these cases: as run-conformance takes them.
    #[arg(long, value_name = "CASE")]
    pub cases: Vec<String>,

    /// Mutants in the functions that differ from this revision in the tree of --linux: those of
    /// the list, and simple ones made for them.
    #[arg(long, value_name = "REV", requires = "linux")]
    pub changed: Option<String>,

    /// With --changed: simple mutants for each function at most.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub per_function: usize,

    /// A checkout of Linux instead of the distribution's source. It is copied; it stays as it is.
    #[arg(long, value_name = "TREE", conflicts_with = "release")]
    pub linux: Option<PathBuf>,

    /// Kernel series whose source the distribution packages, such as 7.3. Default: the newest.
    #[arg(long, value_name = "SERIES")]
    pub release: Option<String>,

    /// The machine to run on: a file of vm-images/platforms.
    #[arg(long, default_value = "intel")]
    pub platform: String,

    /// Guests at a time. Default: the number of processors.
    #[arg(long, short)]
    pub jobs: Option<usize>,

    /// QEMU binary.
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,

    /// What runs the guests. A refusal of KVM is remembered for a day; `kvm` tries it again.
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,

    /// Folder that receives the record of the run. Default: results/runs/TIME.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Does the corpus notice small bugs in the kernel? Each mutant of vm-images/mutants.yaml goes into a tree of the tool's own,
is built (the first time takes minutes, a mutant about 20 s) and booted, and the corpus runs on it, beginning with the cases
that are likeliest to notice. A case that fails on the kernel as it is, too, has killed nothing. The tree is put back after
each mutant, also after Ctrl-C, and by the next run after a kill.

Examples:
  cargo xtask mutants --list                                   what there is
  cargo xtask mutants 'security context'                       one area
  cargo xtask mutants second-ioas --every-killer               who notices this one
  cargo xtask mutants --together --first-kill                  all of them, quickly
  cargo xtask mutants --together --first-kill --likely 50      more quickly; survivors are then run with all cases
  cargo xtask mutants --changed origin/master --linux ~/linux  does the corpus guard my patch?
  nice cargo xtask mutants --jobs 1                            beside other work

Exit codes:
  0  all killed, or known to survive
  1  one survived, or does not fit
  2  wrong usage, or a mistake in the list or in a case file
  3  no mutant selected
  4  the machine could not be built or booted
  130  interrupted; what was judged before is in the record";

impl Options {
    /// Guests at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        runner::options::jobs(self.jobs)
    }

    /// A mutant's run ends after so many cases that notice it.
    #[must_use]
    pub fn enough(&self) -> usize {
        match (self.first_kill, self.every_killer) {
            (true, _) => 1,
            (_, true) => usize::MAX,
            _ => MANY,
        }
    }
}
