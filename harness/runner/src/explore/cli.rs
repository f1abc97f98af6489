//! The command: what it is told, and what can go wrong.

use std::{io, path::PathBuf, process::ExitCode, sync::Arc};

use clap::{Args, ValueEnum};
use model::{Reading, Unruled, World};

use crate::{
    cli::Exit,
    explore::{
        drawn,
        picture::{Picture, PictureError, Target},
        plan::Plan,
        random::WalkError,
        report,
        walking::Walking,
    },
    lab::LabError,
    options::Options,
    run::Cancel,
};

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
    #[arg(long, value_name = "WALKS", conflicts_with = "list")]
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

/// Why an exploration did not come to a result.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExploreError {
    #[error("no world is called like {0}; `--list` shows all")]
    NoWorld(String),
    #[error("random walks go through one world, and these are called like that: {0}")]
    OneWorld(String),
    #[error("the rules of the model have a hole: {0}")]
    Rules(#[from] Unruled),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error("writing the walks, or to standard output: {0}")]
    Output(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error("walk {0}: {1}")]
    Walk(u64, WalkError),
    #[error(transparent)]
    Picture(#[from] PictureError),
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &ExploreOptions) -> ExitCode {
    let done = match options.random {
        Some(walks) => drawn::go(options, walks),
        None => go(options),
    };
    let exit = done.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        match error {
            ExploreError::NoWorld(_) => Exit::Nothing,
            ExploreError::OneWorld(_) => Exit::Usage,
            ExploreError::Lab(LabError::Platform(_)) | ExploreError::Picture(_) => Exit::Usage,
            ExploreError::Walk(_, WalkError::Interrupted) => Exit::Interrupted,
            _ => Exit::NoMachine,
        }
    });
    exit.code(false)
}

fn go(options: &ExploreOptions) -> Result<Exit, ExploreError> {
    let worlds = selected(&options.worlds, World::all())?;
    let target = options.graph.as_deref().map(Target::new).transpose()?;
    let rules = Reading::from(options.reading).rules();
    let plans: Vec<_> = worlds
        .into_iter()
        .map(|world| Plan::new(world, &rules))
        .collect::<Result<_, _>>()?;
    if options.list {
        draw(target, || Picture::of_model(&plans))?;
        return report::list(&plans);
    }
    let cancel = cancel_on_signal()?;
    let mut walking = Walking::open(options, plans, &cancel)?;
    let found = walking.all()?;
    let divergences = walking.reproduce(&rules, &found)?;
    let exit = report::report(options, &walking, &divergences)?;
    draw(target, || Picture::of_walks(&walking.plans))?;
    Ok(exit)
}

fn draw(target: Option<Target>, picture: impl FnOnce() -> Picture) -> Result<(), PictureError> {
    target.map_or(Ok(()), |it| it.write(&picture()))
}

pub(super) fn selected(
    names: &[String],
    mut worlds: Vec<World>,
) -> Result<Vec<World>, ExploreError> {
    if names.is_empty() {
        return Ok(worlds);
    }
    let unknown = |name: &&String| {
        !worlds
            .iter()
            .any(|world| world.name.contains(name.as_str()))
    };
    if let Some(name) = names.iter().find(unknown) {
        return Err(ExploreError::NoWorld(name.clone()));
    }
    worlds.retain(|world| names.iter().any(|name| world.name.contains(name.as_str())));
    Ok(worlds)
}

pub(super) fn cancel_on_signal() -> Result<Arc<Cancel>, ExploreError> {
    let cancel = Arc::new(Cancel::default());
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || on_signal.cancel())?;
    Ok(cancel)
}

pub(super) fn run_options(options: &ExploreOptions) -> Options {
    Options {
        platform: options.platform.clone(),
        jobs: options.jobs,
        linux: options.linux.clone(),
        kernel: options.kernel.clone(),
        ..Options::standard()
    }
}
