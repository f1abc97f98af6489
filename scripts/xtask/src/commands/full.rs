//! `cargo xtask full`: tests that take too long for each change.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};
use full::{
    kvm,
    options::{Extent, KvmOptions},
    parts::{self, PartsOptions},
};
use runner::options::{GuestOptions, platform_name};

/// Options of `full`.
#[derive(Debug, Clone, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = PARTS_EXAMPLES)]
pub struct FullOptions {
    /// Parts to run. Default: all.
    #[arg(value_name = "PART")]
    pub parts: Vec<String>,

    /// Print the parts with the time of each, and what has passed with the same files.
    #[arg(long)]
    pub list: bool,

    /// Run also what has passed with the same files.
    #[arg(long)]
    pub again: bool,

    /// A part with options of its own.
    #[command(subcommand)]
    pub command: Option<FullCommand>,
}

/// Parts with options of their own.
#[derive(Debug, Clone, Subcommand)]
pub enum FullCommand {
    /// Run the suite on an emulated host with KVM, and compare the results with those of TCG.
    Kvm(Box<KvmArguments>),
}

const PARTS_EXAMPLES: &str = "\
Everything that CI has no time for: other platforms, compilers and flavours of the kernel, the model,
coverage, mutants, an emulated host with KVM. Each part is a command of its own, whose record and
output are in results/full/PART. A part that passed is not run again until a file of the project or
QEMU changes, so an interrupted `full` goes on where it was.

Examples:
  cargo xtask full --list          the parts, and how long each will take
  cargo xtask full                 all that has not passed yet
  cargo xtask full debug kcsan     two of them
  cargo xtask full --again amd     although nothing changed
  cargo xtask full kvm --brief     an emulated host with KVM: see `full kvm --help`

Exit codes:
  0  every part passed
  1  a part failed: a verdict, a build or boot of the kernel, or cases that only one of two builds runs
  2  wrong usage
  70  no part failed, but one could not run on this host
  130  interrupted; the parts that ended before are kept";

/// Options of `full kvm`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct KvmArguments {
    /// Cases to run on each platform instead of the smoke set, as run-conformance takes them.
    #[arg(value_name = "CASE", conflicts_with_all = ["all", "brief"])]
    pub cases: Vec<String>,

    /// Run only bind and DMA on `intel`, which every change has to pass.
    #[arg(long, conflicts_with = "all")]
    pub brief: bool,

    /// Run the whole corpus on `intel`, the stages and the cases with DMA on `virtio` and
    /// `intel-scalable`, walks of two worlds, and random walks with two processors.
    #[arg(long)]
    pub all: bool,

    /// Run only on these platforms.
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',', value_parser = platform_name())]
    pub platform: Vec<String>,

    /// Also walk these worlds of the model.
    #[arg(long, value_name = "WORLD")]
    pub explore: Vec<String>,

    /// Also take this many random walks with races, on two processors.
    #[arg(long, value_name = "WALKS")]
    pub random: Option<u64>,

    /// Folder for both records. Default: results/runs/TIME-kvm.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,

    /// The kernel and QEMU. The same QEMU emulates the host.
    #[command(flatten)]
    pub guest: GuestOptions,
}

const EXAMPLES: &str = "\
QEMU emulates a machine with AMD's SVM as the host, which runs a distribution's kernel with KVM. Each
set of cases runs under TCG on this machine, and then under KVM on the emulated host. Every verdict
and every transcript has to be the same. The emulation is not sound: a case that loses its guest or
its host is run again, up to four times, and named in the report. If the machine's QEMU lacks one of
the platforms, a newer one of the distribution runs everything; without one, or with --qemu, such
platforms are left out.

Examples:
  cargo xtask full kvm                             the smoke set: each platform, each engine, races; minutes
  cargo xtask full kvm --brief                     bind and DMA on intel
  cargo xtask full kvm --all                       the whole corpus, and walks of the model; an hour or more
  cargo xtask full kvm --platform virtio stage2    some cases on a platform
  cargo xtask full kvm --explore bridge --random 20 --platform intel stage1/bind-blocks

Exit codes:
  0  KVM ran, and its results differ from those of TCG only in known ways
  1  a verdict or a transcript differs, or a walk diverges
  2  wrong usage, or a mistake in a case file
  70  the emulated host could not be made, or KVM did not run in it
  130  interrupted";

/// Runs the command, and prints an error to standard error.
pub fn main(options: FullOptions) -> ExitCode {
    let exit = match options.command {
        Some(FullCommand::Kvm(arguments)) => kvm::prove(&arguments.options()),
        None => parts::run(&PartsOptions {
            names: options.parts,
            list: options.list,
            again: options.again,
        }),
    };
    let exit = exit.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}

impl KvmArguments {
    fn options(self) -> KvmOptions {
        KvmOptions {
            extent: match (self.brief, self.all) {
                (true, _) => Extent::Brief,
                (false, true) => Extent::All,
                (false, false) if self.cases.is_empty() => Extent::Smoke,
                (false, false) => Extent::Cases(self.cases),
            },
            platforms: self.platform,
            explore: self.explore,
            random: self.random,
            guest: self.guest,
            record: self.record,
        }
    }
}
