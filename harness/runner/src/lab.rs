//! The lab: the kernel, agent, QEMU, platform and corpus that guests are made of.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use case::{Case, Compiled, Corpus, CorpusError, Findings, Sources, add_stage_3};
use vm_images::{Build, Given, Image, ImageError, Progress, Series, Silent, Source};
use wire::{KernelCheck, Op, PciOp};

use crate::{
    accel::{self, Chosen, NoKvm},
    agent::{self, AgentError},
    allowed::{Allowed, AllowedError, AllowedReport},
    baseline::{Baseline, BaselineReport},
    boards::{Boards, Place},
    configuration::Configuration,
    counters::{Counters, KeepCounters, Kept},
    exit::Exit,
    guest::{BootError, CaseEnd, Guest, Limits},
    judge::{Judgement, Known, StepJudge, judge},
    newer::Newer,
    options::{MachineOptions, Processors, vm_images_folder},
    phases::Sums,
    platform::{self, KnownDeviation, Platform, PlatformError},
    promise::Promise,
    qemu::{Accel, Argv, Machine, Qemu, QemuError, Running},
    qemu_choice::{self, Distribution},
    races,
    record::{NoFolder, Record, RunDir, RunFacts, check_folder, timestamp},
    report::folder_of,
    snapshot::{Compared, Mode, Store},
    splat, transcript,
    verdict::Verdict,
};

/// Why the lab could not be opened. The exit code depends on the kind.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A mistake in a case file.
    #[error(transparent)]
    Corpus(#[from] CorpusError),
    /// A mistake in a platform file, or an unknown platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The kernel could not be obtained.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The agent could not be built.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// QEMU could not be used.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// `--accel kvm` was given, and KVM cannot be used.
    #[error("--accel kvm: {0}")]
    Kvm(#[from] NoKvm),
    /// The file of allowed complaints cannot be used.
    #[error(transparent)]
    Allowed(#[from] AllowedError),
    /// Which cases a kernel skips cannot be told before it boots.
    #[error(
        "no configuration of this kernel was found, so that which cases it skips is known only when \
         it has booted; --config FILE gives it"
    )]
    NoConfig,
    /// Counters are asked of a kernel that has none.
    #[error(
        "--gcov: this kernel has no counters, its configuration lacks CONFIG_GCOV_KERNEL; build it \
         with --flavour coverage, or give a kernel that has it"
    )]
    NoGcov,
    /// A guest could not be booted.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The folder for counters cannot be used.
    #[error("storing counters in {folder}: {error}; give another folder with --gcov DIR")]
    Counters { folder: PathBuf, error: io::Error },
    /// The folder for the record cannot be made.
    #[error(transparent)]
    Folder(#[from] NoFolder),
    /// The record of the run cannot be written.
    #[error("writing the record of the run: {0}")]
    Record(#[from] io::Error),
}

impl LabError {
    /// Returns the exit code of a command that needs the lab.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Corpus(_)
            | Self::Platform(_)
            | Self::Allowed(_)
            | Self::NoConfig
            | Self::NoGcov => Exit::Usage,
            Self::Image(error) => error.blame().into(),
            Self::Boot(error) => error.blame().into(),
            Self::Agent(_)
            | Self::Qemu(_)
            | Self::Kvm(_)
            | Self::Counters { .. }
            | Self::Folder(_)
            | Self::Record(_) => Exit::Host,
        }
    }
}

/// A lab that can boot guests and run cases in them.
#[derive(Debug)]
pub struct Lab {
    /// The cases.
    pub corpus: Corpus,
    /// The kernel.
    pub image: Image,
    /// How it was built.
    pub build: Build,
    /// The platform.
    pub platform: Platform,
    /// The folder of this run.
    pub run_dir: Mutex<RunDir>,
    /// When it began.
    pub started: String,
    qemu: Arc<Qemu>,
    boards: Boards,
    chosen: Chosen,
    snapshots: Store,
    boots: AtomicUsize,
    slowest_boot_ms: AtomicU64,
    sums: Mutex<Sums>,
    processors: Processors,
    /// The number of earlier runs, if a run is repeated.
    turn: u64,
    /// Stores the counters of guests, if requested.
    pub counters: Option<Counters>,
    /// The configuration of a kernel that somebody else built.
    configuration: Option<Configuration>,
    allowed: Arc<Allowed>,
    baseline: Baseline,
    /// Whether what a newer kernel mends or changes is a failure.
    strict: bool,
    /// The seed of the order of the cases, if they do not run in their own.
    shuffle: Option<u64>,
    checks: Vec<KernelCheck>,
}

/// The checks that a kernel has by its configuration; without one, those of the flavour.
fn checks_of(image: &Image, build: &Build) -> Vec<KernelCheck> {
    let Some(config) = &image.config else {
        return build.flavour.traits.alive.clone();
    };
    let is_set = |option: &str| config.options.get(option).is_some_and(|value| value == "y");
    let has = |(option, check): (&str, KernelCheck)| is_set(option).then_some(check);
    let all = [
        ("CONFIG_PROVE_LOCKING", KernelCheck::Lockdep),
        ("CONFIG_DEBUG_KMEMLEAK", KernelCheck::Kmemleak),
        ("CONFIG_DEBUG_OBJECTS", KernelCheck::DebugObjects),
    ];
    all.into_iter().filter_map(has).collect()
}

/// Whether the configuration of a kernel is known and lacks an option.
fn lacks(image: &Image, option: &str) -> bool {
    let config = image.config.as_ref();
    config.is_some_and(|config| !config.options.contains_key(option))
}

/// Says which flavour suits a kernel that somebody else built with sanitizers.
fn advise(image: &Image, build: &Build) {
    let config = image.config.as_ref();
    let is_set = config.is_some_and(|config| config.options.contains_key("CONFIG_KASAN"));
    if is_set && build.flavour.name == vm_images::DEFAULT {
        eprintln!(
            "note: this kernel has CONFIG_KASAN; --flavour debug gives its guests the memory and time \
             that it needs"
        );
    }
}

/// Makes the timer of each processor tick all the time. QEMU 10.0's TCG does not wake a halted one of
/// several at times. Without a tick it sleeps for ever, and the kernel waits for its answer to an
/// interrupt, which looks like a hang or a stall of RCU.
const TICKS: &str = "nohz=off highres=off";

impl Lab {
    /// Opens the lab, and builds what is missing.
    pub fn open(
        options: &MachineOptions,
        corpus: Corpus,
        mode: Mode,
        progress: &dyn Progress,
    ) -> Result<Self, LabError> {
        let platform = Platform::load(&vm_images_folder(), &options.platform)?;
        if let Some(folder) = &options.record {
            check_folder(folder)?;
        }
        let allowed = options.splat_allow.as_deref().map(Allowed::load);
        let allowed = Arc::new(allowed.transpose()?.unwrap_or_default());
        let given = options.guest.qemu.as_deref();
        let qemu = qemu_choice::choose(
            given,
            std::slice::from_ref(&platform),
            &Distribution,
            progress,
        )?;
        let build = options.build()?;
        let image = vm_images::obtain(&options.guest.source(), &build, progress)?;
        if options.counters != KeepCounters::No && lacks(&image, "CONFIG_GCOV_KERNEL") {
            return Err(LabError::NoGcov);
        }
        let platform = platform.of_series(Series::of_release(&image.release));
        progress.stage("bringing the agent up to date");
        let configuration = match options.guest.is_ready() {
            true => Some(Configuration::new(&image, &corpus)?),
            false => None,
        };
        let initramfs = agent::initramfs(&image.modules, Vec::new())?;
        let traits = &build.flavour.traits;
        let cmdline = cmdline(&build, &options.guest.append);
        let mut machine = Machine {
            platform: &platform,
            accel: Accel::Tcg,
            kernel: &image.kernel,
            initramfs: &initramfs,
            memory: traits.memory,
            cmdline: &cmdline,
        };
        let chosen = accel::choose(options.accel, &qemu, &machine, &image.key, progress)?;
        machine.accel = chosen.accel;
        let boards = Boards::new(&qemu, &machine, &image)?;
        let processors = options.processors(traits);
        let started = timestamp();
        let run_dir = RunDir::create(&crate::root::runs(), options.record.as_deref(), &started)?;
        let counters = options.counters.folder(&run_dir.path).map(|folder| {
            let made = Counters::new(&folder, image.coverage.as_deref());
            made.map_err(|error| LabError::Counters { folder, error })
        });
        let counters = counters.transpose()?;
        let snapshots = store(&platform, &image, &build, mode);
        if options.guest.is_ready() {
            advise(&image, &build);
        }
        Ok(Self {
            checks: checks_of(&image, &build),
            corpus,
            run_dir: Mutex::new(run_dir),
            started,
            boards,
            chosen,
            qemu: Arc::new(qemu),
            image,
            platform,
            snapshots,
            boots: AtomicUsize::new(0),
            slowest_boot_ms: AtomicU64::new(0),
            sums: Mutex::default(),
            processors,
            turn: options.turn,
            counters,
            build,
            configuration,
            allowed,
            baseline: Baseline::default(),
            strict: false,
            shuffle: None,
        })
    }

    /// Returns the same lab with another kernel, without building, reading or probing the rest
    /// again. `append` is added to the kernel's command line, and the folder receives the record.
    pub fn with_kernel(
        &self,
        kernel: &Path,
        append: &str,
        folder: &Path,
    ) -> Result<Self, LabError> {
        let source = Source::Ready(Given::file(kernel.to_owned()));
        let boards = self.boards.with_argv(|argv| {
            argv.set("-kernel", |_| kernel.to_string_lossy().into_owned());
            argv.set("-append", |had| format!("{had} {append}").trim().to_owned());
        });
        let started = timestamp();
        let run_dir = RunDir::create(folder, Some(folder), &started)?;
        let mut image = vm_images::obtain(&source, &self.build, &Silent)?;
        // A mutant of the same source has the same headers.
        image.declared.clone_from(&self.image.declared);
        let snapshots = store(&self.platform, &image, &self.build, self.snapshots.mode());
        Ok(Self {
            corpus: self.corpus.clone(),
            image,
            platform: self.platform.clone(),
            run_dir: Mutex::new(run_dir),
            started,
            qemu: Arc::clone(&self.qemu),
            boards,
            chosen: self.chosen.clone(),
            snapshots,
            boots: AtomicUsize::new(0),
            slowest_boot_ms: AtomicU64::new(0),
            sums: Mutex::default(),
            processors: self.processors,
            turn: self.turn,
            counters: None,
            build: self.build.clone(),
            configuration: None,
            allowed: Arc::clone(&self.allowed),
            baseline: Baseline::default(),
            strict: false,
            shuffle: self.shuffle,
            checks: self.checks.clone(),
        })
    }

    /// Sets the failures that are known.
    #[must_use]
    pub fn with_baseline(self, baseline: Baseline) -> Self {
        Self { baseline, ..self }
    }

    /// Makes what a newer kernel mends or changes a failure.
    #[must_use]
    pub fn with_strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// Notes the seed of the order in which the cases run, for the record.
    #[must_use]
    pub fn with_order(self, shuffle: Option<u64>) -> Self {
        Self { shuffle, ..self }
    }

    /// Notes why a failure is known, if it is.
    pub fn note_known(&self, record: &mut Record) {
        if !record.is_no_failure() {
            let known = self.baseline.known(record);
            record.known = known.map(|known| known.reason.clone());
        }
    }

    /// What became of each known failure.
    pub fn baseline(&self, records: &[Record]) -> Vec<BaselineReport> {
        let ids = self.corpus.cases.iter();
        let ids = ids.flat_map(|case| std::iter::once(&case.id).chain(&case.former));
        let ids = ids.map(String::as_str).collect();
        self.baseline.reports(records, &self.platform.name, &ids)
    }

    /// Sets the number of processors of guests, whatever runs in them.
    pub fn with_processors(mut self, count: u32) -> Self {
        self.processors = Processors::always(count);
        self
    }

    /// Returns the number of processors of a guest for this case.
    pub fn processors(&self, case: &Case) -> u32 {
        self.processors.of(case)
    }

    /// The checks of the kernel itself that have to be on at a guest's end: those that it was built
    /// with, whoever built it.
    pub fn checks(&self) -> &[KernelCheck] {
        &self.checks
    }

    /// Folder of this run.
    pub fn path(&self) -> PathBuf {
        self.with_run_dir(|dir| dir.path.clone())
    }

    /// Calls `work` with the folder of this run.
    pub fn with_run_dir<T>(&self, work: impl FnOnce(&mut RunDir) -> T) -> T {
        let mut dir = self
            .run_dir
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        work(&mut dir)
    }

    /// Calls `work` with the sums of the phases of all cases.
    pub fn with_sums<T>(&self, work: impl FnOnce(&mut Sums) -> T) -> T {
        let lock = self.sums.lock();
        work(&mut lock.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// The accelerator.
    pub fn accel(&self) -> Accel {
        self.chosen.accel
    }

    /// Returns the header of a command's output: kernel, platform, QEMU, accelerator and what is
    /// left out.
    pub fn header(&self) -> String {
        let facts = self.facts(1);
        format!(
            "platform {}: {}, {}\n{}",
            facts.platform,
            facts.linux(),
            facts.qemu,
            facts.head().join("\n")
        )
    }

    /// Facts of the run as far as they are known without a guest.
    pub fn facts(&self, jobs: usize) -> RunFacts {
        RunFacts {
            started: self.started.clone(),
            platform: self.platform.name.clone(),
            kernel: self.image.release.clone(),
            build: described(&self.image, &self.build),
            image: self.image.key.clone(),
            configuration: self.configuration.clone(),
            qemu: self.qemu.version.clone(),
            lacking: self.boards.whole.argv.left_out(),
            unknown_names: self.unknown_names(),
            allowed: self.allowed(),
            accel: self.chosen.accel.to_string(),
            why_not_kvm: self.chosen.why_not_kvm.clone(),
            jobs,
            shuffle: self.shuffle,
            interrupted: false,
            ms: 0,
            counters: self.counters.as_ref().map(|counters| Kept {
                folder: counters.folder().to_owned(),
                guests: 0,
                lost: Vec::new(),
            }),
        }
    }

    /// Returns what became so far of the complaints that the run allows.
    pub fn allowed(&self) -> Vec<AllowedReport> {
        self.allowed.reports()
    }

    fn unknown_names(&self) -> Vec<String> {
        let declared = self.image.declared.iter();
        declared.flat_map(|header| header.unknown()).collect()
    }

    /// Returns where each of the cases of a run runs.
    pub fn places(&self, cases: &[&Case]) -> Vec<Place> {
        let boards = self.boards.of_cases(cases).into_iter();
        let place = |(board, case): (usize, &&Case)| Place {
            board,
            processors: self.processors(case),
        };
        boards.zip(cases).map(place).collect()
    }

    /// Boots a guest with all groups for cases without races. Returns its number in this run with it.
    pub fn boot(&self) -> Result<(usize, Guest), BootError> {
        self.boot_at(Place {
            board: self.boards.whole_at(),
            processors: self.processors.usual,
        })
    }

    /// Boots a guest for the cases of a place.
    pub fn boot_at(&self, place: Place) -> Result<(usize, Guest), BootError> {
        let board = self.boards.at(place.board);
        let argv = self.argv_of(&board.argv, place.processors);
        self.boot_argv(&argv, &board.platform, place.processors)
    }

    fn argv_of(&self, argv: &Argv, processors: u32) -> Argv {
        let mut argv = argv.clone();
        argv.set("-smp", |_| processors.to_string());
        if processors > 1 && self.chosen.accel == Accel::Tcg {
            argv.set("-append", |cmdline| format!("{cmdline} {TICKS}"));
        }
        argv
    }

    /// Boots a guest from another initramfs that contains the agent, with this many MiB of memory.
    pub fn boot_with(&self, initramfs: &Path, memory: u32) -> Result<(usize, Guest), BootError> {
        let mut argv = self.argv_of(&self.boards.whole.argv, self.processors.usual);
        argv.set("-initrd", |_| initramfs.to_string_lossy().into_owned());
        argv.set("-m", |_| memory.to_string());
        self.boot_argv(&argv, &self.platform, self.processors.usual)
    }

    /// Boots a guest, and tries a second time if QEMU fails. With two processors under TCG, QEMU 10.0
    /// crashes at times (`iotlb_to_section: Assertion ... failed`), and about one boot of 70 made no
    /// progress for a minute, before the kernel was told the rate of its counter and [`TICKS`]. A
    /// kernel that does not boot is seen at the second try, and one that does not at times by the note.
    fn boot_argv(
        &self,
        argv: &Argv,
        platform: &Platform,
        processors: u32,
    ) -> Result<(usize, Guest), BootError> {
        let limits = Limits::of(&self.build.flavour.traits);
        let may_stand_still = processors > 1 && self.chosen.accel == Accel::Tcg;
        let first = match may_stand_still {
            true => limits.first_of_two(self.slowest_boot()),
            false => limits,
        };
        let booted = match self.boot_once(argv, platform, first) {
            Err(BootError::NoHello { lost, .. })
                if lost.is_crash() || (may_stand_still && lost.is_silent()) =>
            {
                eprintln!("note: a guest is started again, because the first try ended so: {lost}");
                self.boot_once(argv, platform, limits)
            }
            booted => booted,
        }?;
        let took = booted.1.boot.as_millis() as u64;
        self.slowest_boot_ms.fetch_max(took, Ordering::Relaxed);
        Ok(booted)
    }

    fn slowest_boot(&self) -> Duration {
        Duration::from_millis(self.slowest_boot_ms.load(Ordering::Relaxed))
    }

    fn boot_once(
        &self,
        argv: &Argv,
        platform: &Platform,
        limits: Limits,
    ) -> Result<(usize, Guest), BootError> {
        let number = self.boots.fetch_add(1, Ordering::Relaxed) + 1;
        let console = self.with_run_dir(|dir| dir.console(number));
        let guest = Guest::boot(&self.qemu, argv, platform, &console, limits);
        let guest = guest.map_err(|error| match self.configuration {
            Some(_) => error.of_ready(),
            None => error,
        })?;
        let guest = guest.with_allowed(Arc::clone(&self.allowed));
        let guest = guest.with_declared(self.image.declared.clone());
        let mut guest = guest.with_config(self.image.config.as_ref())?;
        let has_modules = !self.image.modules.is_empty();
        guest.promise = Promise::of(platform, &argv.lacking, &guest.offer, has_modules);
        Ok((number, guest))
    }

    /// Starts the same machine with another initramfs, to compare boot times.
    pub fn start_with(&self, initramfs: &Path) -> Result<Running, LabError> {
        let console = self.with_run_dir(|dir| dir.path.join("console-other.log"));
        let mut argv = self.argv_of(&self.boards.whole.argv, self.processors.usual);
        argv.set("-initrd", |_| initramfs.to_string_lossy().into_owned());
        Ok(self.qemu.start(&argv, &console)?)
    }

    /// Runs one case of the corpus in a guest and judges it.
    pub fn run(&self, case: &Case, guest: &mut Guest) -> Ran {
        self.run_from(case, &self.corpus.sources, guest)
    }

    /// Runs one case of these case files in a guest and judges it.
    pub fn run_from(&self, case: &Case, sources: &Sources, guest: &mut Guest) -> Ran {
        let mut compiled = match self.compile(case, guest) {
            Ok(compiled) => compiled,
            Err(need) => {
                let promise = &guest.promise;
                let waits_for = promise.waits_for(&self.platform, case, &guest.offer);
                let judgement = match &waits_for {
                    Some(id) => Judgement::waiting(id, &need),
                    None => Judgement::skip(&need),
                };
                let mut record = self.record(case, judgement, Duration::ZERO);
                record.waits_for = waits_for;
                record.findings = self.findings(case, guest, &record);
                return Ran {
                    record,
                    blessed: None,
                    guest_spoiled: false,
                    agent_answers: true,
                    qemu_crashed: false,
                    complaint_before: None,
                };
            }
        };
        races::delay(&mut compiled.plan, self.turn);
        let mut steps = StepJudge::new(&compiled, sources);
        let observation = guest.run_until(&compiled, |index, outcome| {
            steps.take(index, outcome);
            case.fail_fast && steps.has_failed()
        });
        self.with_sums(|sums| sums.add(observation.phases, observation.wall));
        let transcript = transcript::render(&compiled, &observation.outcomes);
        let of_platform = |deviation| self.platform.known(deviation, case.shape);
        let known = Known {
            xfail: case.xfail(&guest.offer),
            findings: Some(&self.corpus.findings),
            dma_never_lands: of_platform(KnownDeviation::DmaNeverLands),
            mock_devices_unbound: of_platform(KnownDeviation::MockDevicesUnbound),
        };
        let mut blessed = None;
        let judgement = judge(&compiled, &observation, &steps.finish(), known, || {
            let (difference, stored) = match case.snapshot {
                true => self.compare(case, &transcript),
                false => (None, None),
            };
            blessed = stored;
            difference
        });
        guest.note_order(case);
        let plugs = |op: &Op| matches!(op.innermost(), Op::Pci(PciOp::Host { .. }));
        let is_plugged = compiled.plan.ops.iter().any(plugs);
        let is_lost = is_plugged && guest.follow_groups().is_err();
        let complaint_before = splat::find(&observation.kmsg_before);
        let qemu_crashed = matches!(&observation.end, CaseEnd::Lost(lost) if lost.is_crash());
        let guest_spoiled = judgement.verdict.spoils_guest()
            || observation.spoils_guest()
            || complaint_before.is_some()
            || is_lost
            // Some checks of the kernel switch themselves off at their first complaint.
            || splat::find(&observation.kmsg).is_some();
        let mut record = self.record(case, judgement, observation.wall);
        if !record.verdict.is_expected() {
            record.kmsg = observation.kmsg;
        }
        record.findings = self.findings(case, guest, &record);
        record.races = races::of(&compiled, &observation.outcomes);
        record.transcript = transcript;
        Ran {
            record,
            blessed,
            guest_spoiled,
            agent_answers: matches!(observation.end, CaseEnd::Done { .. }),
            qemu_crashed,
            complaint_before,
        }
    }

    /// Returns the findings that a case showed on a guest, given its verdict.
    fn findings(&self, case: &Case, guest: &Guest, record: &Record) -> Vec<String> {
        let of_platform = |deviation| self.platform.deviation(deviation, case.shape);
        let of_platform =
            |deviation| of_platform(deviation).map(|known| known.finding.value.clone());
        match record.verdict {
            Verdict::Xfail => {
                let own = case.xfail(&guest.offer).map(|xfail| xfail.finding.clone());
                let excuses =
                    |known: &&platform::Known| Some(&known.reason) == record.reason.as_ref();
                let known = || self.platform.known.iter().find(excuses);
                own.or_else(|| known().map(|known| known.finding.value.clone()))
                    .into_iter()
                    .collect()
            }
            Verdict::Skip if case.uses_identity() => of_platform(KnownDeviation::NoIdentityControl)
                .into_iter()
                .collect(),
            Verdict::Pass if record.as_planned.is_empty() => case.shows.clone(),
            _ => Vec::new(),
        }
    }

    /// Compiles the case for a guest. The error is the unmet need.
    pub fn compile(&self, case: &Case, guest: &Guest) -> Result<Compiled, String> {
        let compiled = self.platform.compile(case, &guest.offer)?;
        Ok(add_stage_3(case, &guest.offer, compiled))
    }

    /// Compares a transcript with its snapshot. Returns the difference, and what was stored.
    fn compare(&self, case: &Case, transcript: &str) -> (Option<String>, Option<String>) {
        match self.snapshots.compare(case.into(), transcript) {
            Ok(Compared::Same) => (None, None),
            Ok(Compared::Different(how)) => (Some(how), None),
            Ok(Compared::Blessed(what)) => (None, Some(what)),
            Err(error) => (Some(format!("comparing its snapshot: {error}")), None),
        }
    }

    /// Returns the record of a case that was judged.
    pub fn record(&self, case: &Case, judgement: Judgement, wall: Duration) -> Record {
        let newer = Newer::of(&judgement, &self.image.release).filter(|_| !self.strict);
        Record {
            id: case.id.clone(),
            former_ids: case.former.clone(),
            platform: self.platform.name.clone(),
            verdict: judgement.verdict,
            summary: case.summary.clone(),
            clauses: case.clauses().map(str::to_owned).collect(),
            ms: wall.as_millis() as u64,
            guest: None,
            reason: judgement.reason,
            waits_for: None,
            findings: Vec::new(),
            known: None,
            newer,
            as_planned: judgement.as_planned,
            failed_step: judgement.failed_step,
            kmsg: Vec::new(),
            races: Vec::new(),
            transcript: String::new(),
        }
    }
}

/// Result of running a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its record.
    pub record: Record,
    /// The snapshot that was stored, and what changed in it.
    pub blessed: Option<String>,
    /// Whether the case left the guest changed, so that no other case may run in it.
    pub guest_spoiled: bool,
    /// Whether the agent answers requests after it.
    pub agent_answers: bool,
    /// Whether QEMU ended by a signal, which says nothing about the kernel.
    pub qemu_crashed: bool,
    /// What the kernel complained of between the case before and this one.
    pub complaint_before: Option<String>,
}

/// Reads the corpus below a folder.
pub fn load_corpus(root: &Path) -> Result<Corpus, CorpusError> {
    let colour = io::stderr().is_terminal();
    let findings = Findings::load(&crate::root::findings(), colour)?;
    Corpus::load(root, findings, colour)
}

/// Reads one case file with the clauses and preludes of a folder.
pub fn load_case_file(root: &Path, file: &Path) -> Result<Corpus, CorpusError> {
    let colour = io::stderr().is_terminal();
    let findings = Findings::load(&crate::root::findings(), colour)?;
    Corpus::load_file(root, file, findings, colour)
}

/// Returns what is added to the kernel's command line.
pub(crate) fn cmdline(build: &Build, append: &str) -> String {
    let mut words = build.flavour.traits.cmdline.clone();
    words.extend((!append.is_empty()).then(|| append.to_owned()));
    words.join(" ")
}

/// Describes how the kernel was built: what built it, and what differs from the default.
fn described(image: &Image, build: &Build) -> String {
    let own = Some(build.described()).filter(|words| !words.is_empty());
    let words: Vec<_> = image.built_by.iter().cloned().chain(own).collect();
    words.join(", ")
}

fn store(platform: &Platform, image: &Image, build: &Build, mode: Mode) -> Store {
    let store = Store::new(
        &crate::root::snapshots(),
        &platform.name,
        &image.release,
        mode,
    );
    match build.described().is_empty() {
        true => store,
        false => store.of_another_build(),
    }
}

/// Counts the cases in each folder.
pub fn folders<'a>(cases: impl IntoIterator<Item = &'a Case>) -> BTreeMap<String, usize> {
    let mut folders = BTreeMap::new();
    for case in cases {
        let folder = folder_of(&case.id);
        *folders.entry(folder.to_owned()).or_insert(0) += 1;
    }
    folders
}
