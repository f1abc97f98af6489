//! `cargo xtask bisect`: the commit that makes a case fail.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use compare::{
    bisect::{Bisect, BisectError},
    checkout::{Checkout, CheckoutError},
};
use runner::{exit::Exit, options::MachineOptions, record::timestamp, root::runs, say};

use crate::signal::cancel_on_signal;

/// Options of `bisect`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BisectOptions {
    /// Cases that fail: an id, a folder, a glob over ids, or a part of an id.
    #[arg(value_name = "CASE", required = true)]
    pub filters: Vec<String>,

    /// A revision of --linux on which they pass.
    #[arg(long, value_name = "REV")]
    pub good: String,

    /// A later one on which one of them fails.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub bad: String,

    /// How often to run the cases on each revision, to tell one that fails now and then.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub runs: u32,

    /// The machine.
    #[command(flatten)]
    pub machine: MachineOptions,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask bisect --linux ~/linux --good v7.2 --bad v7.3 stage1/bind
  cargo xtask bisect --linux ~/linux --good HEAD~30 --runs 10 vfio-pci/race-of-resets

The revisions are built one after the other in a checkout beside the tree, in the cache, so that each
build compiles what changed. One that does not build or boot is skipped. The result is the commit with
its title, and what the cases saw on it and on the good one before it.

`git bisect run cargo xtask run-conformance --bisect --linux . CASE` does it in your own tree.";

/// Why no commit was found.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error("give the tree with --linux; the kernels of a bisection are its revisions")]
    NoTree,
    #[error(transparent)]
    Bisect(#[from] BisectError),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &BisectOptions) -> ExitCode {
    let exit = match go(options) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("error: {error}");
            exit(&error)
        }
    };
    exit.code(false)
}

fn exit(error: &CommandError) -> Exit {
    match error {
        CommandError::Bisect(BisectError::OnlySkipped { .. }) => Exit::Failed,
        CommandError::Bisect(BisectError::Cases(error)) => error.exit(),
        CommandError::NoTree | CommandError::Bisect(_) => Exit::Usage,
        CommandError::Signal(_) => Exit::Host,
    }
}

fn go(options: &BisectOptions) -> Result<(), CommandError> {
    let Some(tree) = options.machine.guest.linux.as_deref() else {
        return Err(CommandError::NoTree);
    };
    let usual = || runs().join(format!("{}-bisect", timestamp()));
    let folder: PathBuf = options.machine.record.clone().unwrap_or_else(usual);
    let cancel = cancel_on_signal()?;
    let checkout = |error: CheckoutError| CommandError::Bisect(error.into());
    let bisect = Bisect {
        checkout: Checkout::open(tree, "bisect").map_err(checkout)?,
        machine: options.machine.clone(),
        filters: options.filters.clone(),
        runs: options.runs,
        folder,
        cancel: &cancel,
    };
    let found = bisect.find(&options.good, &options.bad)?;
    say!("\nfirst bad commit: {}\n", found.commit);
    say!("{}", found.difference.trim_end());
    Ok(())
}
