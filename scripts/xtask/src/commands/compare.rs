//! `cargo xtask compare`: the same cases on two kernels, and what differs.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Args, ValueEnum};
use compare::{
    cases::{CasesError, run_cases},
    checkout::{Checkout, CheckoutError},
    comparison::Comparison,
    intended::{Intended, IntendedError},
    kernel::{Kernel, NoKernel},
    report::{human, markdown},
    side::{Side, SideError},
};
use runner::{
    exit::Exit,
    options::{GuestOptions, MachineOptions},
    output::Output,
    record::timestamp,
    root::runs,
    run::Cancel,
    snapshot::Mode,
};

use crate::signal::cancel_on_signal;

/// Options of `compare`.
#[derive(Debug, Clone, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareOptions {
    /// Cases to run on both: an id, a folder, a glob over ids, or a part of an id. Default: all.
    #[arg(value_name = "CASE")]
    pub filters: Vec<String>,

    /// The kernel to start from: a release such as 6.12, an image, the folder of a run, or with
    /// --linux a revision.
    #[arg(long, value_name = "KERNEL")]
    pub base: String,

    /// The kernel to compare with it. An mbox, such as b4 writes, stands for the base's revision with
    /// these patches.
    #[arg(long, value_name = "KERNEL")]
    pub head: String,

    /// Changes that are made on purpose: a list of `case` (an id or a glob), `reason` and perhaps
    /// `kind`. They do not make the command fail.
    #[arg(long, value_name = "FILE")]
    pub intended: Option<PathBuf>,

    /// Format of standard output.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,

    /// The machine.
    #[command(flatten)]
    pub machine: MachineOptions,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text for people.
    Human,
    /// For the cover letter of a series.
    Markdown,
    /// One JSON object.
    Json,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask compare --base 6.12 --head 7.3 iommufd
  cargo xtask compare --base v7.3 --head for-next --linux ~/linux
  cargo xtask compare --base v7.3 --head series.mbx --linux ~/linux --format markdown
  cargo xtask compare --base old/bzImage --head new/bzImage --intended on-purpose.yaml
  cargo xtask compare --base results/runs/A --head results/runs/B   nothing is booted

A revision is checked out beside the tree, in the cache: the tree stays as it is, and the next build
is incremental. Snapshots are not compared; what both kernels did is compared instead: verdicts, how
calls and DMA end, what calls return, complaints, what the machine lacks.

Exit codes:
  0  both kernels are alike, but for what --intended lists
  1  something changed
  2  wrong usage or input, such as an unknown revision or a series that does not apply
  70, 130, and those of a kernel that does not build or boot, as with run-conformance";

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
enum CompareError {
    #[error("--base: {0}")]
    Base(NoKernel),
    #[error("--head: {0}")]
    Head(NoKernel),
    #[error(
        "give the kernels by --base and --head; of the other options only --linux goes with them"
    )]
    OtherKernel,
    #[error(transparent)]
    Intended(#[from] IntendedError),
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error("{name}: {error}")]
    Cases {
        name: String,
        error: Box<CasesError>,
    },
    #[error(transparent)]
    Side(#[from] SideError),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
    #[error("writing to standard output: {0}")]
    Output(#[from] io::Error),
}

impl CompareError {
    fn exit(&self) -> Exit {
        match self {
            Self::Base(_)
            | Self::Head(_)
            | Self::OtherKernel
            | Self::Intended(_)
            | Self::Checkout(_)
            | Self::Side(_) => Exit::Usage,
            Self::Cases { error, .. } => error.exit(),
            Self::Signal(_) | Self::Output(_) => Exit::Host,
        }
    }
}

/// Runs the command, and prints an error to standard error.
pub fn main(options: &CompareOptions) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        eprintln!("error: {error}");
        error.exit()
    });
    exit.code(false)
}

fn go(options: &CompareOptions) -> Result<Exit, CompareError> {
    if options.names_another_kernel() {
        return Err(CompareError::OtherKernel);
    }
    let tree = options.machine.guest.linux.as_deref();
    let base = Kernel::base(&options.base, tree).map_err(CompareError::Base)?;
    let head = Kernel::head(&options.head, tree, &base).map_err(CompareError::Head)?;
    let intended = options.intended.as_deref().map(Intended::load);
    let intended = intended.transpose()?.unwrap_or_default();
    let folder = options.machine.record.clone();
    let folder = folder.unwrap_or_else(|| runs().join(format!("{}-compare", timestamp())));
    let cancel = cancel_on_signal()?;
    let runs = Runs {
        options,
        folder: &folder,
        cancel: &cancel,
    };
    let base = runs.side(&options.base, &base, "base")?;
    let head = runs.side(&options.head, &head, "head")?;
    let comparison = Comparison::new(&base, &head, &intended);
    let text = match options.format {
        Format::Human => human(&comparison),
        Format::Markdown => markdown(&comparison),
        Format::Json => serde_json::to_string_pretty(&comparison).map_err(io::Error::from)?,
    };
    writeln!(Output::stdout(), "{}", text.trim_end())?;
    Ok(match comparison.is_as_intended() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

impl CompareOptions {
    fn names_another_kernel(&self) -> bool {
        let guest = &self.machine.guest;
        guest.release.is_some() || guest.tarball.is_some() || guest.is_ready()
    }
}

/// Obtains the records of both sides.
struct Runs<'a> {
    options: &'a CompareOptions,
    /// Where the records of runs go.
    folder: &'a Path,
    cancel: &'a Cancel,
}

impl Runs<'_> {
    /// Reads the record of one side, or runs the cases on its kernel first.
    fn side(&self, name: &str, kernel: &Kernel, which: &str) -> Result<Side, CompareError> {
        let folder = match kernel {
            Kernel::Record(folder) => folder.clone(),
            kernel => {
                let record = self.folder.join(which);
                eprintln!("{which}: {name}");
                self.run(name, self.guest(kernel, which)?, &record)?;
                record
            }
        };
        Ok(Side::load(name, &folder)?)
    }

    /// Returns the options of a guest with this kernel.
    fn guest(&self, kernel: &Kernel, which: &str) -> Result<GuestOptions, CheckoutError> {
        let mut guest = GuestOptions {
            linux: None,
            ..self.options.machine.guest.clone()
        };
        match kernel {
            Kernel::Record(_) => {}
            Kernel::Release(series) => guest.release = Some(*series),
            Kernel::Image(file) => guest.kernel = Some(file.clone()),
            Kernel::Revision {
                tree,
                revision,
                series,
            } => {
                let checkout = Checkout::open(tree, which)?;
                match series {
                    Some(series) => checkout.apply(series, revision)?,
                    None => checkout.switch(revision)?,
                }
                guest.linux = Some(checkout.folder().to_owned());
            }
        }
        Ok(guest)
    }

    fn run(&self, name: &str, guest: GuestOptions, record: &Path) -> Result<(), CompareError> {
        let machine = MachineOptions {
            guest,
            record: Some(record.to_owned()),
            ..self.options.machine.clone()
        };
        run_cases(&machine, &self.options.filters, Mode::Ignore, self.cancel)
            .map(drop)
            .map_err(|error| CompareError::Cases {
                name: name.to_owned(),
                error: Box::new(error),
            })
    }
}
