//! `cargo xtask mutants`: mutation testing of the corpus.

use std::{io, process::ExitCode};

use clap::Args;
use mutants::{
    list::ListError,
    options::{Changed, Options, Until},
    run::{self, MutantsError},
};
use runner::options::MachineOptions;

/// Options of `mutants`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct MutantsOptions {
    /// Mutants to run: an id, or a part of an id, of an area, of a file or of a function, or the
    /// flavour or platform that one needs. Default: all. Those that need another flavour or platform
    /// are left out.
    #[arg(value_name = "MUTANT")]
    pub filters: Vec<String>,

    /// List the mutants without building a kernel.
    #[arg(long)]
    pub list: bool,

    /// Stop each mutant at the first case that kills it. The default is to stop after 20 such
    /// cases.
    #[arg(long, conflicts_with = "every_killer")]
    pub first_kill: bool,

    /// Run all cases on each mutant, however many kill it.
    #[arg(long)]
    pub every_killer: bool,

    /// Build one kernel with all mutants and select one at boot. This takes seconds for each mutant
    /// instead of a build, but the code differs slightly from an edited source.
    #[arg(long)]
    pub together: bool,

    /// Continue after a mutant that does not apply to the source or does not build without
    /// warnings.
    #[arg(long)]
    pub keep_going: bool,

    /// Run only the N cases that are likeliest to kill each mutant. Then run the survivors again
    /// with all cases.
    #[arg(long, value_name = "N")]
    pub likely: Option<usize>,

    /// Run only these cases: an id, a folder, a glob over ids, or a part of an id, as
    /// run-conformance takes them. May be repeated.
    #[arg(long = "case", value_name = "CASE")]
    pub cases: Vec<String>,

    /// Run the mutants in functions that differ from this revision in the tree given with --linux:
    /// those in the list, and simple ones that are generated.
    #[arg(long, value_name = "REV", requires = "linux")]
    pub changed: Option<String>,

    /// With --changed: generate at most N simple mutants for each function.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub per_function: usize,

    /// The machine. The tree given with --linux is copied and stays unchanged.
    #[command(flatten)]
    pub machine: MachineOptions,
}

const EXAMPLES: &str = "\
Mutants are small bugs in the kernel: vm-images/mutants.yaml lists them. Each mutant is applied to a
copy of the source, built (minutes the first time, then about 20 s) and booted, and the corpus runs on
it, the cases that are likeliest to fail first. A case that fails kills the mutant, unless it fails on
the unchanged kernel, too. The source is restored after each mutant, also after Ctrl-C, and by the
next run after a crash.

Examples:
  cargo xtask mutants --list                                   the mutants
  cargo xtask mutants 'security context'                       one area
  cargo xtask mutants debug --flavour debug                    those that only this flavour shows
  cargo xtask mutants second-ioas --every-killer               all cases that kill one mutant
  cargo xtask mutants --case stage2 second-ioas                one mutant, and the cases of one folder
  cargo xtask mutants --together --first-kill                  all mutants, quickly
  cargo xtask mutants --together --first-kill --likely 50      more quickly; survivors are then run with all cases
  cargo xtask mutants --changed origin/master --linux ~/linux  test the code of a patch
  nice cargo xtask mutants --jobs 1                            beside other work

Exit codes:
  0  all mutants were killed, or are known to survive
  1  a mutant survived, or does not apply to the source
  2  wrong usage, or a mistake in the list or in a case file
  3  no mutant or no case selected
  70  this host lacks something or failed
  130  interrupted; the record has every mutant judged before";

/// Runs the command, and prints an error to standard error.
pub fn main(options: MutantsOptions) -> ExitCode {
    let ended = match options.list {
        true => run::print_list(&options.filters),
        false => run::run(&options.options()),
    };
    let exit = ended.unwrap_or_else(|error| {
        match &error {
            MutantsError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            // Mistakes in the list are already formatted, each with its own heading.
            MutantsError::List(ListError::Problems(_)) => eprintln!("{error}"),
            _ => eprintln!("error: {error}"),
        }
        error.exit()
    });
    exit.code(false)
}

impl MutantsOptions {
    fn options(self) -> Options {
        // clap requires --linux with --changed.
        let changed = self.changed.zip(self.machine.guest.linux.clone());
        Options {
            filters: self.filters,
            until: match (self.first_kill, self.every_killer) {
                (true, _) => Until::FirstKill,
                (false, true) => Until::TheEnd,
                (false, false) => Until::ManyKills,
            },
            together: self.together,
            keep_going: self.keep_going,
            likely: self.likely,
            cases: self.cases,
            changed: changed.map(|(revision, tree)| Changed {
                tree,
                revision,
                per_function: self.per_function,
            }),
            machine: self.machine,
        }
    }
}
