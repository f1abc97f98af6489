//! `cargo xtask baseline`: the failures of a run, for `--baseline`.

use std::{fs, io, path::PathBuf, process::ExitCode};

use clap::Args;
use jiff::civil::Date;
use runner::{baseline::Baseline, exit::Exit, output::Output, records::NoRecord, say};

/// Options of `baseline`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct BaselineOptions {
    /// Folder of the run, such as results/runs/latest.
    pub run: PathBuf,

    /// Why all of these failures are known. Default: the run that showed them.
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,

    /// The last day on which they are, such as 2027-01-31. Default: none.
    #[arg(long, value_name = "DATE")]
    pub until: Option<Date>,

    /// Write to this file. Default: standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask baseline results/runs/latest -o known.yaml
  cargo xtask baseline results/runs/latest --until 2027-01-31 --reason 'the series of 2026-11-20'
  cargo xtask run-conformance --baseline known.yaml

Each entry has the case, its platform and verdict, and texts of the failure, so that the same case
failing in another way is a new failure. Write the reason of each entry by hand: a failure that
nobody explains stays.";

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
enum WriteError {
    #[error(transparent)]
    Record(#[from] NoRecord),
    #[error("writing the failures as YAML: {0}")]
    Yaml(#[from] serde_yaml::SerializeError),
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &BaselineOptions) -> ExitCode {
    let exit = match go(options) {
        Ok(()) => Exit::Ok,
        Err(error) => {
            eprintln!("error: {error}");
            match error {
                WriteError::Record(_) | WriteError::Yaml(_) => Exit::Usage,
                WriteError::Io { .. } => Exit::Host,
            }
        }
    };
    exit.code(false)
}

fn go(options: &BaselineOptions) -> Result<(), WriteError> {
    let baseline = Baseline::of_run(&options.run)?;
    let baseline = baseline.with(options.reason.as_deref(), options.until);
    let text = match baseline.is_empty() {
        true => "# The run had no failure.\n".to_owned(),
        false => baseline.text()?,
    };
    let failed = |path: PathBuf| move |error| WriteError::Io { path, error };
    match &options.output {
        Some(path) => {
            fs::write(path, text).map_err(failed(path.clone()))?;
            let failures = if baseline.len() == 1 {
                "failure"
            } else {
                "failures"
            };
            say!("wrote {} {failures} to {}", baseline.len(), path.display());
        }
        None => io::Write::write_all(&mut Output::stdout(), text.as_bytes())
            .map_err(failed("standard output".into()))?,
    }
    Ok(())
}
