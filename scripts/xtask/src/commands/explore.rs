//! `cargo xtask explore`: walks through the model on a real kernel.

use std::{path::PathBuf, process::ExitCode};

use clap::{ArgGroup, Args, ValueEnum};
use explore::{
    ExploreError, RandomWalks, Traversal,
    addresses::AddressWalks,
    picture::{Picture, PictureError, PictureFile},
};
use model::{Reading, World};
use runner::{exit::Exit, options::MachineOptions};

use crate::signal::cancel_on_signal;

/// Options of `explore`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("at_random").args(["random", "addresses"]))]
pub struct ExploreOptions {
    /// Worlds to walk: a name, or a part of a name. Default: all.
    #[arg(value_name = "WORLD")]
    pub worlds: Vec<String>,

    /// List the worlds with the numbers of their states and transitions without booting a guest.
    #[arg(long)]
    pub list: bool,

    /// Draw the states and transitions, coloured by result. A file name that ends in .dot receives
    /// graphviz source.
    #[arg(long, value_name = "FILE.svg")]
    pub graph: Option<PathBuf>,

    /// Reading of the proposal to compare the kernel with.
    #[arg(long, value_enum, default_value_t = ReadingName::Stage2)]
    pub reading: ReadingName,

    /// Take this many random walks through a larger world instead, with events that race.
    #[arg(long, value_name = "WALKS", conflicts_with_all = ["list", "graph"],
          value_parser = clap::value_parser!(u64).range(1..))]
    pub random: Option<u64>,

    /// Walk at random through the address spaces of an iommufd instead, for about this many moves:
    /// map, copy, unmap, attach, pin.
    #[arg(long, value_name = "MOVES", num_args = 0..=1, default_missing_value = "20000",
          conflicts_with_all = ["list", "graph", "random", "worlds"],
          value_parser = clap::value_parser!(u64).range(1..))]
    pub addresses: Option<u64>,

    /// Seed of the random walks: the same seed gives the same walks. Default: a new seed each
    /// time, which is printed.
    #[arg(long, requires = "at_random")]
    pub seed: Option<u64>,

    /// Number of the first random walk. With `--random 1`, or as many `--addresses` as `--length`,
    /// only this walk is taken.
    #[arg(
        long,
        requires = "at_random",
        default_value_t = 0,
        value_name = "NUMBER"
    )]
    pub walk: u64,

    /// Moves in each random walk.
    #[arg(long, requires = "at_random", default_value_t = 60, value_name = "MOVES",
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub length: u16,

    /// The machine.
    #[command(flatten)]
    pub machine: MachineOptions,
}

/// Values of `--reading`; each names a [`Reading`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReadingName {
    /// Stage 1 of the proposal to the letter: bind refuses groups of several devices.
    Stage1,
    /// Stage 2, which Linux implements.
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
  cargo xtask explore bridge                 the worlds with a bridge
  cargo xtask explore --list                 the numbers of states and transitions
  cargo xtask explore --linux ~/linux        a kernel tree with your patch
  cargo xtask explore --random 500           random walks through a larger world, with races
  cargo xtask explore --random 1 --seed 7 --walk 13      one of these walks again
  cargo xtask explore --addresses            20,000 moves through address spaces
  cargo xtask explore --addresses 60 --seed 7 --walk 13  one of these walks again
  cargo xtask explore --reading stage1       the proposal's stage 1 to the letter
  cargo xtask explore --graph all.svg        every world, and a picture of the results
  cargo xtask explore --list --graph m.svg   a picture of the model alone

Exit codes:
  0  every transition conforms to the model
  1  a transition diverges or is not covered
  2  wrong usage
  3  unknown world
  70  this host lacks something or failed
  130  interrupted";

/// Why the command has no result.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("unknown world `{name}`{}", advice(name, known))]
    UnknownWorld {
        name: String,
        known: Vec<&'static str>,
    },
    #[error("random walks need one world, but the name selects several; give one of:\n{}", listed(.0))]
    SeveralWorlds(Vec<&'static str>),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error(transparent)]
    Explore(#[from] ExploreError),
}

/// Returns the world that was probably meant, or all of them.
fn advice(name: &str, known: &[&str]) -> String {
    // A world can be given by a part of its name, so a word of it may be meant.
    let words = known.iter().flat_map(|world| world.split(' '));
    match case::nearest(name, known.iter().copied().chain(words)) {
        Some(near) => format!("; did you mean `{near}`? `--list` lists all worlds"),
        None => format!("; the worlds are:\n{}", listed(known)),
    }
}

fn listed(names: &[&str]) -> String {
    let lines: Vec<_> = names.iter().map(|name| format!("  {name}")).collect();
    lines.join("\n")
}

impl CommandError {
    fn exit(&self) -> Exit {
        match self {
            Self::UnknownWorld { .. } => Exit::Nothing,
            Self::SeveralWorlds(_) | Self::Picture(_) => Exit::Usage,
            Self::Signal(_) => Exit::Host,
            Self::Explore(error) => error.exit(),
        }
    }
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &ExploreOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}

fn go(options: &ExploreOptions) -> Result<Exit, CommandError> {
    let rules = Reading::from(options.reading).rules();
    if let Some(walks) = options.random {
        let random = RandomWalks {
            world: options.one_world()?,
            rules,
            walks,
            first: options.walk,
            seed: options.seed.unwrap_or_else(explore::seed_of_now),
            length: options.length.into(),
        };
        return Ok(random.run(&options.machine, &*cancel_on_signal()?)?);
    }
    if let Some(moves) = options.addresses {
        let walks = AddressWalks {
            moves,
            first: options.walk,
            seed: options.seed.unwrap_or_else(explore::seed_of_now),
            length: options.length.into(),
            flaw: None,
        };
        return Ok(walks.run(&options.machine, &*cancel_on_signal()?)?);
    }
    let worlds = options.selected(World::all())?;
    let picture = options.graph.as_deref().map(PictureFile::new).transpose()?;
    let traversals = worlds
        .into_iter()
        .map(|world| Traversal::new(world, &rules));
    let traversals: Vec<_> = traversals
        .collect::<Result<_, _>>()
        .map_err(ExploreError::from)?;
    if options.list {
        picture.map_or(Ok(()), |file| file.write(&Picture::of_model(&traversals)))?;
        return Ok(explore::list(&traversals)?);
    }
    let (machine, cancel) = (&options.machine, cancel_on_signal()?);
    Ok(explore::walk_all(
        machine, traversals, &rules, picture, &cancel,
    )?)
}

impl ExploreOptions {
    /// Returns the worlds named on the command line, or all of `worlds`.
    fn selected(&self, mut worlds: Vec<World>) -> Result<Vec<World>, CommandError> {
        let has_name = |world: &World, name: &String| world.name.contains(name.as_str());
        let unknown = |name: &&String| !worlds.iter().any(|world| has_name(world, name));
        if let Some(name) = self.worlds.iter().find(unknown) {
            return Err(CommandError::UnknownWorld {
                name: name.clone(),
                known: names(&worlds),
            });
        }
        let named = |world: &World| self.worlds.iter().any(|name| has_name(world, name));
        worlds.retain(|world| self.worlds.is_empty() || named(world));
        Ok(worlds)
    }

    /// Returns the world named on the command line, or the large one. An exact name takes
    /// precedence over a part of a name.
    fn one_world(&self) -> Result<World, CommandError> {
        if self.worlds.is_empty() {
            return Ok(World::large());
        }
        let mut all = World::all();
        all.push(World::large());
        let whole = all.iter().find(|world| self.worlds == [world.name]);
        if let Some(world) = whole {
            return Ok(world.clone());
        }
        let worlds = self.selected(all)?;
        match <[World; 1]>::try_from(worlds) {
            Ok([world]) => Ok(world),
            Err(worlds) => Err(CommandError::SeveralWorlds(names(&worlds))),
        }
    }
}

fn names(worlds: &[World]) -> Vec<&'static str> {
    worlds.iter().map(|world| world.name).collect()
}
