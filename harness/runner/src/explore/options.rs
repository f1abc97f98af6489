//! What the command is told.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use model::{Reading, World};

use crate::{accel::AccelChoice, explore::error::ExploreError, options::Options};

/// Options of `explore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExploreOptions {
    /// Worlds whose name contains one of these. Default: all.
    #[arg(value_name = "WORLD")]
    pub worlds: Vec<String>,

    /// The machine to run on: a file of vm-images/platforms.
    #[arg(long, default_value = "intel")]
    pub platform: String,

    /// Guests at a time. Default: the number of processors.
    #[arg(long, short)]
    pub jobs: Option<usize>,

    /// Kernel source tree to build; it stays clean.
    #[arg(long, value_name = "TREE", conflicts_with = "kernel")]
    pub linux: Option<PathBuf>,

    /// Ready kernel image (bzImage).
    #[arg(long, value_name = "IMAGE")]
    pub kernel: Option<PathBuf>,

    /// QEMU binary.
    #[arg(long, value_name = "PATH", default_value = "qemu-system-x86_64")]
    pub qemu: PathBuf,

    /// What runs the guests. A refusal of KVM is remembered for a day; `kvm` tries it again.
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,

    /// Print the worlds with the numbers of their states and transitions, and boot nothing.
    #[arg(long)]
    pub list: bool,

    /// Draw states and transitions, coloured by what became of them; .dot gives graphviz's text.
    #[arg(long, value_name = "FILE.svg")]
    pub graph: Option<PathBuf>,

    /// Which text the kernel is held to.
    #[arg(long, value_enum, default_value_t = ReadingName::Stage2)]
    pub reading: ReadingName,

    /// Draw so many random walks through a larger world instead, with events that race.
    #[arg(long, value_name = "WALKS", conflicts_with_all = ["list", "graph"])]
    pub random: Option<u64>,

    /// The same seed draws the same walks. Default: another one each time, which is printed.
    #[arg(long, requires = "random")]
    pub seed: Option<u64>,

    /// The first walk that is drawn: with `--random 1` just this one.
    #[arg(long, requires = "random", default_value_t = 0, value_name = "NUMBER")]
    pub walk: u64,

    /// Moves in each random walk.
    #[arg(long, requires = "random", default_value_t = 60, value_name = "MOVES",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub length: u16,
}

/// A [`Reading`], as an option says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadingName {
    /// The plan's stage 1 to the letter: bind refuses groups of several devices.
    Stage1,
    /// Stage 2, as Linux has it.
    Stage2,
}

impl From<ReadingName> for Reading {
    fn from(name: ReadingName) -> Self {
        match name {
            ReadingName::Stage1 => Self::Stage1,
            ReadingName::Stage2 => Self::Stage2,
        }
    }
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask explore                        every world, on a real kernel
  cargo xtask explore bridge                 one of them
  cargo xtask explore --list                 how many states and transitions there are
  cargo xtask explore --linux ~/linux        a kernel tree with your patch
  cargo xtask explore --random 500           random walks through a larger world, with races
  cargo xtask explore --random 1 --seed 7 --walk 13      one of them again
  cargo xtask explore --reading stage1       against the plan's stage 1 to the letter
  cargo xtask explore --graph all.svg        every world, as a picture of what the kernel did
  cargo xtask explore --list --graph m.svg   the model alone, as a picture

Exit codes: those of run-conformance; 1 when a transition diverges or is not covered.";

impl ExploreOptions {
    /// What a lab has to know of them.
    pub(super) fn of_lab(&self) -> Options {
        Options {
            platform: self.platform.clone(),
            jobs: self.jobs,
            linux: self.linux.clone(),
            kernel: self.kernel.clone(),
            qemu: self.qemu.clone(),
            accel: self.accel,
            ..Options::standard()
        }
    }

    /// The worlds that are meant; all of these, if none is named.
    pub(super) fn selected(&self, mut worlds: Vec<World>) -> Result<Vec<World>, ExploreError> {
        let called = |world: &World, name: &String| world.name.contains(name.as_str());
        let unknown = |name: &&String| !worlds.iter().any(|world| called(world, name));
        if let Some(name) = self.worlds.iter().find(unknown) {
            return Err(ExploreError::NoWorld(name.clone()));
        }
        let meant = |world: &World| self.worlds.iter().any(|name| called(world, name));
        worlds.retain(|world| self.worlds.is_empty() || meant(world));
        Ok(worlds)
    }
}
