//! What the command is told.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of `full`.
#[derive(Debug, Clone, Args)]
pub struct FullOptions {
    /// What is to be proved. Default: everything, to its full extent.
    #[command(subcommand)]
    pub part: Option<Part>,
}

impl FullOptions {
    /// What is to be proved, one after the other.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        match &self.part {
            Some(part) => vec![part.clone()],
            None => vec![Part::Kvm(Box::new(KvmOptions::whole()))],
        }
    }
}

/// Parts of `full`.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// Run the suite on an emulated host with KVM, and compare with emulation.
    Kvm(Box<KvmOptions>),
}

/// Options of `full kvm`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct KvmOptions {
    /// Cases to run on each platform instead of the smoke set: as run-conformance takes them.
    #[arg(value_name = "CASE", conflicts_with_all = ["all", "brief"])]
    pub cases: Vec<String>,

    /// Only bind and DMA on `intel`: what a change has to pass.
    #[arg(long, conflicts_with = "all")]
    pub brief: bool,

    /// The whole corpus on `intel`; the stages and what has DMA on `virtio` and `intel-scalable`;
    /// walks of two worlds, and random ones with two processors.
    #[arg(long)]
    pub all: bool,

    /// Only these platforms.
    #[arg(long, value_name = "PLATFORM", value_delimiter = ',')]
    pub platform: Vec<String>,

    /// Walk these worlds of the model, too.
    #[arg(long, value_name = "WORLD")]
    pub explore: Vec<String>,

    /// Take so many random walks with races on two processors, too.
    #[arg(long, value_name = "WALKS")]
    pub random: Option<u64>,

    /// Ready kernel image (bzImage) instead of the one that run-conformance builds.
    #[arg(long, value_name = "IMAGE")]
    pub kernel: Option<PathBuf>,

    /// QEMU binary, for the emulated host and in it.
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,

    /// Folder that receives both records. Default: results/runs/TIME-kvm.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,
}

impl KvmOptions {
    /// All that there is.
    #[must_use]
    pub fn whole() -> Self {
        Self {
            cases: Vec::new(),
            brief: false,
            all: true,
            platform: Vec::new(),
            explore: Vec::new(),
            random: None,
            kernel: None,
            qemu: PathBuf::from("qemu-system-x86_64"),
            record: None,
        }
    }
}

const EXAMPLES: &str = "\
The host is QEMU's emulation of a machine with AMD's SVM, running a distribution's kernel with KVM. Each set of cases runs
under TCG here and then under KVM there; every verdict and every transcript has to be the same. The emulation is not sound:
a case whose guest or host is lost is run again, up to four times, and named. A platform that this QEMU does not have
(`amd` before QEMU 11.1) is left out.

Examples:
  cargo xtask full kvm                             the smoke set: each platform, each engine, races; minutes
  cargo xtask full kvm --brief                     bind and DMA on intel
  cargo xtask full kvm --all                       the whole corpus, and walks of the model; an hour or more
  cargo xtask full kvm --platform virtio stage2    some cases on a platform
  cargo xtask full kvm --explore bridge --random 20 --platform intel stage1/bind-blocks

Exit codes:
  0  KVM ran, and nothing differs from TCG but what is known to
  1  a verdict or a transcript differs, or a walk diverges
  2  wrong usage, or a mistake in a case file
  4  the emulated host could not be made, or KVM did not run in it
  130  interrupted";
