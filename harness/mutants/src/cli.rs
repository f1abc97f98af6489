//! `cargo xtask mutants`: from options to an exit code.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use case::{Case, Corpus};
use runner::{
    exit::Exit,
    lab::{Lab, LabError, load_corpus},
    options::{Options as LabOptions, root},
    record::{RunDir, timestamp},
    select::{BadFilter, Selection},
    snapshot::Mode,
};
use vm_images::{ImageError, Terminal, Workshop};

use crate::{
    changed::{self, DiffError, Touched},
    fate::Fate,
    forge::{Forge, ForgeError},
    interrupt::Interrupt,
    list::{self, Entry, ListError, Misfit},
    mechanical,
    mutant::Mutant,
    options::Options,
    order,
    report::{Judged, Report},
    together,
    trial::{self, Trial, TrialError},
};

/// Why a run did not come to a summary.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error(transparent)]
    List(#[from] ListError),
    #[error(transparent)]
    Misfit(#[from] Misfit),
    #[error(transparent)]
    Filter(#[from] BadFilter),
    #[error(transparent)]
    Lab(#[from] LabError),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Forge(#[from] ForgeError),
    #[error(transparent)]
    Diff(#[from] DiffError),
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error("the kernel with all mutants does not build without a warning: {0}; correct the list")]
    Warning(String),
    #[error("writing the record of the run, or standard output: {0}")]
    Io(#[from] io::Error),
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

impl CliError {
    fn exit(&self) -> Exit {
        match self {
            Self::Trial(TrialError::Interrupted) => Exit::Interrupted,
            Self::List(_)
            | Self::Misfit(_)
            | Self::Filter(_)
            | Self::Diff(_)
            | Self::Warning(_) => Exit::Usage,
            Self::Lab(LabError::Corpus(_) | LabError::Platform(_)) => Exit::Usage,
            _ => Exit::NoMachine,
        }
    }
}

/// Does what the options say, and says what went wrong on standard error.
#[must_use]
pub fn main(options: &Options) -> ExitCode {
    let exit = go(options).unwrap_or_else(|error| {
        match &error {
            CliError::Io(e) if e.kind() == io::ErrorKind::BrokenPipe => {}
            // Mistakes in the list come rendered, with a heading each.
            CliError::List(ListError::Problems(_)) => eprintln!("{error}"),
            _ => eprintln!("error: {error}"),
        }
        error.exit()
    });
    exit.code(false)
}

fn go(options: &Options) -> Result<Exit, CliError> {
    let corpus = load_corpus(&root().join("cases")).map_err(LabError::from)?;
    let selection = Selection::new(&options.cases, &[])?;
    let entries = entries(&corpus)?;
    if options.list {
        return print_list(&entries, options);
    }
    let meant = |entry: &Entry| entry.is_meant(&options.filters);
    if options.changed.is_none() && !entries.iter().any(meant) {
        return Ok(nothing(&entries));
    }
    // Before minutes of building: a revision may be mistyped.
    let touched = touched(options)?;
    if touched.as_ref().is_some_and(Vec::is_empty) {
        return Ok(untouched(options));
    }
    let interrupt = Interrupt::install()?;
    let forge = forge(options)?;
    let pool = Pool::of(options, &entries, touched.as_deref(), &forge)?;
    if pool.chosen.is_empty() {
        return Ok(nothing(&entries));
    }
    let cases: Vec<Case> = corpus
        .cases
        .iter()
        .filter(|case| selection.takes(case))
        .cloned()
        .collect();
    let session = Session::open(options, &interrupt, forge, corpus, cases)?;
    session.run(&pool)
}

fn entries(corpus: &Corpus) -> Result<Vec<Entry>, CliError> {
    let clauses: Vec<_> = corpus
        .clauses
        .iter()
        .map(|clause| clause.id.clone())
        .collect();
    let path = root().join("vm-images").join("mutants.yaml");
    Ok(list::read(&path, &clauses, io::stderr().is_terminal())?)
}

fn print_list(entries: &[Entry], options: &Options) -> Result<Exit, CliError> {
    let mut out = io::stdout().lock();
    let mut shown = 0;
    for entry in entries
        .iter()
        .filter(|entry| entry.is_meant(&options.filters))
    {
        writeln!(out, "{:<28} {:<18} {}", entry.id, entry.area, entry.rule)?;
        shown += 1;
    }
    Ok(if shown == 0 {
        nothing(entries)
    } else {
        Exit::Ok
    })
}

fn nothing(entries: &[Entry]) -> Exit {
    eprintln!(
        "no mutant is selected; `--list` shows all {}",
        entries.len()
    );
    Exit::Nothing
}

/// The functions that differ, where `--changed` asks for them.
fn touched(options: &Options) -> Result<Option<Vec<Touched>>, CliError> {
    match (&options.changed, &options.linux) {
        (Some(revision), Some(checkout)) => Ok(Some(changed::touched(checkout, revision)?)),
        _ => Ok(None),
    }
}

fn untouched(options: &Options) -> Exit {
    let revision = options.changed.as_deref().unwrap_or_default();
    let places = changed::UNDER_TEST.join(" and ");
    eprintln!("no function below {places} differs from {revision}: there is nothing to mutate");
    Exit::Nothing
}

fn forge(options: &Options) -> Result<Forge, CliError> {
    let progress = Terminal::new();
    let workshop = match &options.linux {
        Some(tree) => Workshop::of_tree(tree, &progress)?,
        None => Workshop::of_release(options.release.as_deref(), &progress)?,
    };
    Ok(Forge::open(workshop, &progress)?)
}

/// Mutants of the tree, and which of them the run is about.
struct Pool {
    all: Vec<Mutant>,
    chosen: Vec<usize>,
}

impl Pool {
    /// Those of the list that are meant and, with `--changed`, those that are made. A kernel of
    /// all of them has those that are not meant, too, so that it serves the next run.
    fn of(
        options: &Options,
        entries: &[Entry],
        touched: Option<&[Touched]>,
        forge: &Forge,
    ) -> Result<Self, CliError> {
        let tree = forge.tree();
        let mut pool = Self {
            all: Vec::new(),
            chosen: Vec::new(),
        };
        for entry in entries {
            let meant = entry.is_meant(&options.filters) && lies_in(entry, touched);
            if !meant && !options.together {
                continue;
            }
            match entry.in_tree(&tree) {
                Ok(mutant) => pool.add(mutant, meant),
                // A patch may change what the list was written for.
                Err(misfit) if options.keep_going || touched.is_some() => eprintln!("{misfit}"),
                Err(misfit) => return Err(misfit.into()),
            }
        }
        for place in touched.unwrap_or_default() {
            let made = mechanical::mutants(&tree, place, options.per_function)?;
            let (function, file) = (&place.function, &place.file);
            println!("{function} in {file}: {} simple mutants", made.len());
            made.into_iter().for_each(|mutant| pool.add(mutant, true));
        }
        Ok(pool)
    }

    fn add(&mut self, mutant: Mutant, meant: bool) {
        if meant {
            self.chosen.push(self.all.len());
        }
        self.all.push(mutant);
    }

    /// The mutants that the run is about, each with its number.
    fn chosen(&self) -> impl Iterator<Item = (usize, &Mutant)> {
        self.chosen
            .iter()
            .filter_map(|index| Some((index + 1, self.all.get(*index)?)))
    }
}

/// Whether it lies in one of the places. Without places it does.
fn lies_in(entry: &Entry, places: Option<&[Touched]>) -> bool {
    let same = |place: &Touched| place.file == entry.file && place.function == entry.function;
    places.is_none_or(|places| places.iter().any(same))
}

/// A run of mutants: the tree, the machine, and what is known so far.
struct Session<'a> {
    options: &'a Options,
    interrupt: &'a Interrupt,
    forge: Forge,
    plain: Lab,
    cases: Vec<Case>,
    /// Who killed what in earlier runs.
    killers: BTreeMap<String, Vec<String>>,
    dir: RunDir,
    report: Report,
}

impl<'a> Session<'a> {
    fn open(
        options: &'a Options,
        interrupt: &'a Interrupt,
        forge: Forge,
        corpus: Corpus,
        cases: Vec<Case>,
    ) -> Result<Self, CliError> {
        let started = timestamp();
        let runs = root().join("results").join("runs");
        let dir = RunDir::create(&runs, options.record.as_deref(), &started)?;
        let lab_options = LabOptions {
            platform: options.platform.clone(),
            qemu: options.qemu.clone(),
            accel: options.accel,
            kernel: Some(forge.plain().to_owned()),
            record: Some(dir.path.join("plain")),
            ..LabOptions::standard()
        };
        let plain = Lab::open(&lab_options, corpus, Mode::Check, &Terminal::new())?;
        let report = Report {
            started,
            kernel: plain.image.release.clone(),
            platform: options.platform.clone(),
            accel: plain.facts(options.jobs()).accelerator(),
            cases: cases.len(),
            ..Report::default()
        };
        Ok(Self {
            killers: read_killers(&forge.memory("killers.json")),
            options,
            interrupt,
            forge,
            plain,
            cases,
            dir,
            report,
        })
    }

    fn run(mut self, pool: &Pool) -> Result<Exit, CliError> {
        println!(
            "{} mutants of Linux {}, {} cases, platform {}\naccelerator: {}",
            pool.chosen.len(),
            self.report.kernel,
            self.cases.len(),
            self.report.platform,
            self.report.accel
        );
        let ended = self.judge_all(pool);
        self.report.interrupted = self.interrupt.is_asked();
        println!("{}", self.report.summary());
        println!("{}", self.dir.path.join("mutants.json").display());
        self.save()?;
        ended?;
        Ok(if self.report.as_expected() {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }

    fn judge_all(&mut self, pool: &Pool) -> Result<(), CliError> {
        let plain = self
            .plain
            .with_kernel(self.forge.plain(), "", &self.dir.path.join("plain"))?;
        let jobs = self.options.jobs();
        let mut trial = Trial::new(&plain, jobs, self.options.enough(), self.interrupt);
        let all = match self.options.together {
            true => Some(self.make_all(&pool.all)?),
            false => None,
        };
        for (done, (number, mutant)) in pool.chosen().enumerate() {
            let start = Instant::now();
            let fate = match &all {
                Some(kernel) => {
                    let append = format!("{}={number}", together::PARAMETER);
                    self.try_kernel(&mut trial, mutant, kernel, &append)?
                }
                None => self.judge(&mut trial, mutant)?,
            };
            // One that was made from the look of a line is no mistake in the list.
            let unfit = matches!(fate, Fate::Unfit { .. }) && mutant.area != mechanical::AREA;
            let judged = Judged::new(mutant, fate, start.elapsed().as_millis() as u64);
            println!("[{}/{}] {}", done + 1, pool.chosen.len(), judged.line());
            self.report.mutants.push(judged);
            self.report.failing = trial.failing().iter().cloned().collect();
            self.save()?;
            if unfit && !self.options.keep_going {
                break;
            }
        }
        Ok(())
    }

    fn make_all(&self, mutants: &[Mutant]) -> Result<PathBuf, CliError> {
        let made = self.forge.together(mutants, &Terminal::new());
        let made = made.map_err(|error| self.or_interrupted(error))?;
        match made.warnings.into_iter().next() {
            Some(warning) if !self.options.keep_going => Err(CliError::Warning(warning)),
            _ => Ok(made.kernel),
        }
    }

    /// Builds the mutant and runs the corpus on it.
    fn judge(&self, trial: &mut Trial<'_>, mutant: &Mutant) -> Result<Fate, CliError> {
        match self.forge.one(mutant, &Terminal::new()) {
            Ok(Ok(kernel)) => self.try_kernel(trial, mutant, &kernel, ""),
            Ok(Err(why)) => Ok(Fate::Unfit { why }),
            Err(ForgeError::Image(error @ ImageError::BuildFailed { .. }))
                if !self.interrupt.is_asked() =>
            {
                Ok(Fate::Unfit {
                    why: error.to_string(),
                })
            }
            Err(error) => Err(self.or_interrupted(error)),
        }
    }

    fn try_kernel(
        &self,
        trial: &mut Trial<'_>,
        mutant: &Mutant,
        kernel: &Path,
        append: &str,
    ) -> Result<Fate, CliError> {
        let mut cases: Vec<&Case> = self.cases.iter().collect();
        let before = self.killers.get(&mutant.id);
        order::sort(&mut cases, mutant, before.map_or(&[], Vec::as_slice));
        cases.truncate(self.options.likely.unwrap_or(usize::MAX));
        let folder = trial::folder(&self.dir.path, &mutant.id);
        Ok(trial.fate(kernel, append, &folder, &cases)?)
    }

    /// A build that Ctrl-C ended did not fail.
    fn or_interrupted(&self, error: ForgeError) -> CliError {
        if self.interrupt.is_asked() {
            TrialError::Interrupted.into()
        } else {
            error.into()
        }
    }

    /// Writes the record, and remembers the killers.
    fn save(&mut self) -> Result<(), CliError> {
        let text = serde_json::to_string_pretty(&self.report).unwrap_or_default();
        self.dir.write("mutants.json", &text)?;
        for (mutant, cases) in self.report.killers() {
            let cases = cases.into_iter().map(str::to_owned).collect();
            self.killers.insert(mutant.to_owned(), cases);
        }
        let memory = serde_json::to_string(&self.killers).unwrap_or_default();
        fs::write(self.forge.memory("killers.json"), memory)?;
        Ok(())
    }
}

/// It only decides the order, so that a file that cannot be read is none.
fn read_killers(path: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
