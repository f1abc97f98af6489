//! Runs the corpus on mutants.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Instant,
};

use case::{Case, Corpus};
use runner::{
    exit::Exit,
    lab::{Lab, LabError, load_corpus},
    options::{GuestOptions, MachineOptions, cases_folder, vm_images_folder},
    output::Output,
    record::{NoFolder, RunDir, check_folder, timestamp},
    root::runs,
    say,
    select::{BadFilter, NothingSelected, Selection},
    snapshot::Mode,
};
use vm_images::{ImageError, KernelWorkTree, Source, Terminal};

use crate::{
    builder::{MutantBuildError, MutantBuilder},
    changed::{self, DiffError, Touched},
    interrupt::Interrupt,
    list::{self, Entry, Known, ListError, Misfit},
    mechanical,
    mutant::Mutant,
    mutant_runner::{self, MutantRunError, MutantRunner},
    options::{Changed, Options},
    order,
    outcome::MutantOutcome,
    report::{Judged, Report},
    together,
};

/// Why a run ended without a summary.
#[derive(Debug, thiserror::Error)]
pub enum MutantsError {
    /// A mistake in the list.
    #[error(transparent)]
    List(#[from] ListError),
    /// A mutant that does not apply to the source.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// A mistake in the selection of cases.
    #[error(transparent)]
    Filter(#[from] BadFilter),
    /// The selection of cases is empty.
    #[error(transparent)]
    NoCase(#[from] NothingSelected),
    /// The selection of mutants is empty.
    #[error(
        "no mutant is selected{}; `mutants --list` shows all {all}",
        advice(near)
    )]
    NoMutant {
        /// For each filter, the name that was probably meant.
        near: Vec<(String, Option<String>)>,
        /// Number of mutants in the list.
        all: usize,
    },
    /// A patch changes no function under test.
    #[error(
        "no function below {} differs from {revision}, so there are no mutants; give an older \
         revision with --changed REV",
        changed::UNDER_TEST.join(" and ")
    )]
    Untouched {
        /// The revision.
        revision: String,
    },
    /// The lab could not be opened.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The kernel could not be obtained.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The kernel with a mutant could not be built.
    #[error(transparent)]
    MutantBuilder(#[from] MutantBuildError),
    /// The patch cannot be read.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// A mutant has no result.
    #[error(transparent)]
    MutantRunner(#[from] MutantRunError),
    /// The kernel is a ready image.
    #[error(
        "mutants change the kernel's source, which a ready image does not have; give its source \
         tree with --linux TREE, a tarball with --source FILE, or a series with --release SERIES"
    )]
    ReadyImage,
    /// The kernel with all mutants has a compiler warning.
    #[error("building the kernel with all mutants gives a warning: {0}; correct the list")]
    Warning(String),
    /// The folder for the record could not be created.
    #[error(transparent)]
    Folder(#[from] NoFolder),
    /// A file or standard output could not be written.
    #[error("writing the record of the run or standard output: {0}")]
    Io(#[from] io::Error),
    /// The handler for signals could not be installed.
    #[error("catching Ctrl-C: {0}")]
    Signal(#[from] ctrlc::Error),
}

impl MutantsError {
    /// Returns the exit code of the command.
    pub fn exit(&self) -> Exit {
        match self {
            Self::MutantRunner(MutantRunError::Interrupted) => Exit::Interrupted,
            Self::MutantRunner(MutantRunError::Plain(_)) => Exit::Kernel,
            Self::NoCase(_) | Self::NoMutant { .. } | Self::Untouched { .. } => Exit::Nothing,
            Self::List(_)
            | Self::Misfit(_)
            | Self::Filter(_)
            | Self::Diff(_)
            | Self::ReadyImage
            | Self::Warning(_) => Exit::Usage,
            Self::Lab(error) => error.exit(),
            Self::Image(error) => error.blame().into(),
            _ => Exit::Host,
        }
    }
}

/// Runs the cases on each mutant, and prints and records its outcome.
pub fn run(options: &Options) -> Result<Exit, MutantsError> {
    let corpus = load_corpus(&cases_folder()).map_err(LabError::from)?;
    let selection = Selection::new(&options.cases, &[])?;
    let cases = selection.of(&corpus.cases)?;
    let entries = entries(&corpus)?;
    let meant = |entry: &Entry| entry.is_meant(&options.filters);
    if options.changed.is_none() && !entries.iter().any(meant) {
        return Err(nothing(&entries, &options.filters));
    }
    // Checked before building, which takes minutes: the revision may be mistyped.
    let touched = touched(options)?;
    if let (Some([]), Some(changed)) = (touched.as_deref(), &options.changed) {
        let revision = changed.revision.clone();
        return Err(MutantsError::Untouched { revision });
    }
    if let Some(folder) = &options.machine.record {
        check_folder(folder)?;
    }
    let interrupt = Interrupt::install()?;
    let builder = builder(options)?;
    let pool = Pool::of(options, &entries, touched.as_deref(), &builder)?;
    if pool.chosen.is_empty() {
        return Err(nothing(&entries, &options.filters));
    }
    let session = Session::open(options, &interrupt, builder, corpus, cases)?;
    session.run(&pool)
}

fn entries(corpus: &Corpus) -> Result<Vec<Entry>, MutantsError> {
    let path = vm_images_folder().join("mutants.yaml");
    let known = Known::of(corpus);
    Ok(list::read(&path, &known, io::stderr().is_terminal())?)
}

/// Prints the mutants that the filters select.
pub fn print_list(filters: &[String]) -> Result<Exit, MutantsError> {
    let corpus = load_corpus(&cases_folder()).map_err(LabError::from)?;
    let entries = entries(&corpus)?;
    let mut out = Output::stdout();
    let mut shown = 0;
    for entry in entries.iter().filter(|entry| entry.is_meant(filters)) {
        writeln!(out, "{:<28} {:<18} {}", entry.id, entry.area, entry.rule)?;
        shown += 1;
    }
    match shown {
        0 => Err(nothing(&entries, filters)),
        _ => Ok(Exit::Ok),
    }
}

/// Returns the error that these filters select no mutant.
fn nothing(entries: &[Entry], filters: &[String]) -> MutantsError {
    let known = || entries.iter().flat_map(Entry::names);
    let near = filters.iter().map(|filter| {
        let near = case::nearest(filter, known()).map(str::to_owned);
        (filter.clone(), near)
    });
    MutantsError::NoMutant {
        near: near.collect(),
        all: entries.len(),
    }
}

fn advice(near: &[(String, Option<String>)]) -> String {
    let each = near.iter().map(|(filter, near)| match near {
        Some(near) => format!(" by `{filter}` (did you mean `{near}`?)"),
        None => format!(" by `{filter}`"),
    });
    each.collect::<Vec<_>>().join(",")
}

/// Returns the functions that differ, if `--changed` is given.
fn touched(options: &Options) -> Result<Option<Vec<Touched>>, MutantsError> {
    let touched = |it: &Changed| changed::touched(&it.tree, &it.revision);
    Ok(options.changed.as_ref().map(touched).transpose()?)
}

fn builder(options: &Options) -> Result<MutantBuilder, MutantsError> {
    let progress = Terminal::new();
    let build = options.machine.guest.build()?;
    let work_tree = match options.machine.guest.source() {
        Source::Tree(tree) => KernelWorkTree::of_tree(&tree, &build, &progress)?,
        Source::Release(series) => KernelWorkTree::of_release(series, &build, &progress)?,
        Source::Tarball(place) => KernelWorkTree::of_tarball(&place, &build, &progress)?,
        Source::Ready(_) => return Err(MutantsError::ReadyImage),
    };
    Ok(MutantBuilder::open(work_tree, &progress)?)
}

/// Mutants of the tree, and the selected ones.
struct Pool {
    all: Vec<Mutant>,
    chosen: Vec<usize>,
}

impl Pool {
    /// Returns the selected mutants of the list and, with `--changed`, generated ones. With
    /// `--together` the kernel also has the mutants that are not selected, so that the next run can
    /// use it.
    fn of(
        options: &Options,
        entries: &[Entry],
        touched: Option<&[Touched]>,
        builder: &MutantBuilder,
    ) -> Result<Self, MutantsError> {
        let tree = builder.tree();
        let mut pool = Self {
            all: Vec::new(),
            chosen: Vec::new(),
        };
        let machine = &options.machine;
        for entry in entries {
            let meant = entry.is_meant(&options.filters) && lies_in(entry, touched);
            let shows = entry.shows_on(&machine.guest.flavour, &machine.platform);
            if meant && !shows {
                say!("{} is left out; it needs {}", entry.id, entry.options());
            }
            let meant = meant && shows;
            if !meant && !options.together {
                continue;
            }
            match entry.in_tree(&tree) {
                Ok(mutant) => pool.add(mutant, meant),
                // A patch may change the source that the list was written for.
                Err(misfit) if options.keep_going || touched.is_some() => eprintln!("{misfit}"),
                Err(misfit) => return Err(misfit.into()),
            }
        }
        let most = options.changed.as_ref().map_or(0, |it| it.per_function);
        for place in touched.unwrap_or_default() {
            let made = mechanical::mutants(&tree, place, most)?;
            let (function, file) = (&place.function, &place.file);
            say!("{function} in {file}: {} simple mutants", made.len());
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

    /// Returns the selected mutants, each with its number.
    fn chosen(&self) -> impl Iterator<Item = (usize, &Mutant)> {
        self.chosen
            .iter()
            .filter_map(|index| Some((index + 1, self.all.get(*index)?)))
    }
}

/// Whether it is in one of the places. Without places, every entry is.
fn lies_in(entry: &Entry, places: Option<&[Touched]>) -> bool {
    let same = |place: &Touched| place.file == entry.file && place.function == entry.function;
    places.is_none_or(|places| places.iter().any(same))
}

/// A run of mutants: the tree, the machine, and the results so far.
struct Session<'a> {
    options: &'a Options,
    interrupt: &'a Interrupt,
    builder: MutantBuilder,
    plain: Lab,
    cases: Vec<Case>,
    /// Cases that killed each mutant in earlier runs.
    killers: BTreeMap<String, Vec<String>>,
    dir: RunDir,
    report: Report,
}

impl<'a> Session<'a> {
    fn open(
        options: &'a Options,
        interrupt: &'a Interrupt,
        builder: MutantBuilder,
        corpus: Corpus,
        cases: Vec<Case>,
    ) -> Result<Self, MutantsError> {
        let started = timestamp();
        let dir = RunDir::create(&runs(), options.machine.record.as_deref(), &started)?;
        let guest = GuestOptions {
            kernel: Some(builder.plain().to_owned()),
            append: options.machine.guest.append.clone(),
            flavour: options.machine.guest.flavour.clone(),
            qemu: options.machine.guest.qemu.clone(),
            ..GuestOptions::default()
        };
        let machine = MachineOptions {
            guest,
            record: Some(dir.path.join("plain")),
            ..options.machine.clone()
        };
        let plain = Lab::open(&machine, corpus, Mode::Check, &Terminal::new())?;
        let report = Report {
            started,
            kernel: plain.image.release.clone(),
            platform: machine.platform.clone(),
            accel: plain.facts(machine.jobs()).accelerator(),
            cases: cases.len(),
            ..Report::default()
        };
        Ok(Self {
            killers: read_killers(&builder.memory("killers.json")),
            options,
            interrupt,
            builder,
            plain,
            cases,
            dir,
            report,
        })
    }

    fn run(mut self, pool: &Pool) -> Result<Exit, MutantsError> {
        say!(
            "{} mutants of Linux {}, {} cases, platform {}\naccelerator: {}",
            pool.chosen.len(),
            self.report.kernel,
            self.cases.len(),
            self.report.platform,
            self.report.accel
        );
        let ended = self.judge_all(pool);
        self.report.interrupted = self.interrupt.is_asked();
        say!("{}", self.report.summary());
        say!("{}", self.dir.path.join("mutants.json").display());
        self.save()?;
        ended?;
        Ok(if self.report.as_expected() {
            Exit::Ok
        } else {
            Exit::Failed
        })
    }

    fn judge_all(&mut self, pool: &Pool) -> Result<(), MutantsError> {
        let all = match self.options.together {
            true => Some(self.make_all(&pool.all)?),
            false => None,
        };
        // A case that fails on the kernel with all mutants and none chosen shows how that kernel is
        // built, not a mutant.
        let base = all.as_deref().unwrap_or(self.builder.plain());
        let plain = self
            .plain
            .with_kernel(base, "", &self.dir.path.join("plain"))?;
        let jobs = self.options.machine.jobs();
        let mut trial = MutantRunner::new(&plain, jobs, self.options.until.kills(), self.interrupt);
        for (done, (number, mutant)) in pool.chosen().enumerate() {
            let start = Instant::now();
            let outcome = match &all {
                Some(kernel) => {
                    let append = format!("{}={number}", together::PARAMETER);
                    self.try_kernel(&mut trial, mutant, kernel, &append)?
                }
                None => self.judge(&mut trial, mutant)?,
            };
            // An unfit generated mutant is not a mistake in the list.
            let unfit =
                matches!(outcome, MutantOutcome::Unfit { .. }) && mutant.area != mechanical::AREA;
            let judged = Judged::new(mutant, outcome, start.elapsed().as_millis() as u64);
            say!("[{}/{}] {}", done + 1, pool.chosen.len(), judged.line());
            self.report.mutants.push(judged);
            self.report.failing = trial.failing().iter().cloned().collect();
            self.save()?;
            if unfit && !self.options.keep_going {
                break;
            }
        }
        Ok(())
    }

    fn make_all(&self, mutants: &[Mutant]) -> Result<PathBuf, MutantsError> {
        let made = self.builder.together(mutants, &Terminal::new());
        let made = made.map_err(|error| self.or_interrupted(error))?;
        match made.warnings.into_iter().next() {
            Some(warning) if !self.options.keep_going => Err(MutantsError::Warning(warning)),
            _ => Ok(made.kernel),
        }
    }

    /// Builds the mutant and runs the corpus on it.
    fn judge(
        &self,
        trial: &mut MutantRunner<'_>,
        mutant: &Mutant,
    ) -> Result<MutantOutcome, MutantsError> {
        match self.builder.one(mutant, &Terminal::new()) {
            Ok(Ok(kernel)) => self.try_kernel(trial, mutant, &kernel, ""),
            Ok(Err(why)) => Ok(MutantOutcome::Unfit { why }),
            Err(MutantBuildError::Image(error @ ImageError::BuildFailed { .. }))
                if !self.interrupt.is_asked() =>
            {
                Ok(MutantOutcome::Unfit {
                    why: error.to_string(),
                })
            }
            Err(error) => Err(self.or_interrupted(error)),
        }
    }

    fn try_kernel(
        &self,
        trial: &mut MutantRunner<'_>,
        mutant: &Mutant,
        kernel: &Path,
        append: &str,
    ) -> Result<MutantOutcome, MutantsError> {
        let mut cases: Vec<&Case> = self.cases.iter().collect();
        let before = self.killers.get(&mutant.id);
        order::sort(&mut cases, mutant, before.map_or(&[], Vec::as_slice));
        cases.truncate(self.options.likely.unwrap_or(usize::MAX));
        let folder = mutant_runner::folder(&self.dir.path, &mutant.id);
        Ok(trial.outcome(kernel, append, &folder, &cases)?)
    }

    /// A build that Ctrl-C ended counts as interrupted, not as failed.
    fn or_interrupted(&self, error: MutantBuildError) -> MutantsError {
        if self.interrupt.is_asked() {
            MutantRunError::Interrupted.into()
        } else {
            error.into()
        }
    }

    /// Writes the record, and stores the killers for later runs.
    fn save(&mut self) -> Result<(), MutantsError> {
        let text = serde_json::to_string_pretty(&self.report).unwrap_or_default();
        self.dir.write("mutants.json", &text)?;
        for (mutant, cases) in self.report.killers() {
            let cases = cases.into_iter().map(str::to_owned).collect();
            self.killers.insert(mutant.to_owned(), cases);
        }
        let memory = serde_json::to_string(&self.killers).unwrap_or_default();
        fs::write(self.builder.memory("killers.json"), memory)?;
        Ok(())
    }
}

/// Reads the killers of earlier runs. They only affect the order, so a file that cannot be read is
/// ignored.
fn read_killers(path: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}
