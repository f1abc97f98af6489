//! One booted guest: handshake and set-up, then one case after the other.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use case::{Case, Compiled};
use uapi::Header;
use vm_images::{Blame, KernelConfig, Traits};
use wire::{
    CheckState, DmaEnd, End, Facts, FileOp, FrameError, KernelCheck, Observed, Op, Outcome, PciOp,
    Phases, Reply, Request, TAINT_OF_COMPLAINTS, World, added_taint, frame,
};

use crate::{
    allowed::Allowed,
    counters::{CountersError, GuestCounters},
    inventory,
    judge::description::errno_text,
    monitor::MachineState,
    platform::Platform,
    promise::Promise,
    qemu::{Argv, Qemu, QemuError, Running},
    splat,
};

/// Interval at which a guest that has not said hello is checked.
const LOOK: Duration = Duration::from_millis(500);
/// Time after which the user is told that a guest has not said hello yet.
const TELL: Duration = Duration::from_secs(30);
/// Time within which a live agent answers a ping, on the machine that deadlines are written for.
const PING: Duration = Duration::from_secs(10);
/// Time for the kernel's own checks, of which kmemleak scans the whole memory twice.
const CHECKS: Duration = Duration::from_secs(60);
/// In the line of a scan of kmemleak that found leaks.
const LEAKS_COUNTED: &str = "new suspected memory leaks";
/// A guest that sends nothing for this long is pinged.
const QUIET: Duration = Duration::from_secs(4);
/// Boot time in ms of the machine that deadlines are written for, a typical one under TCG.
/// Deadlines are longer on slower machines: see [`slowness`].
const BOOT_OF_REFERENCE: u128 = 2000;
/// Factor for the deadline of every case, because hosts are busy at times.
const PATIENCE: u64 = 3;
/// Upper limit of [`slowness`]: a boot that takes minutes has another cause.
const SLOWEST: u32 = 10;
/// Time that the agent needs after the deadline to kill the case and restore the guest.
const RESTORE: Duration = Duration::from_secs(30);

/// Time limits for a guest to say hello.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start of QEMU to the agent's first message.
    pub total: Duration,
    /// Time without new console output after which the kernel has stopped. Only for kernels with a
    /// verbose console: others are silent for most of their boot.
    pub quiet: Option<Duration>,
}

impl Limits {
    /// Limits for guests with a kernel of this flavour. A guest that dies is noticed at once.
    pub fn of(flavour: &Traits) -> Self {
        Self {
            total: Duration::from_secs(flavour.boot_seconds),
            quiet: None,
        }
    }

    /// Shorter limits for a first try of two, after which the whole limits hold. `slowest` is the
    /// longest boot so far.
    pub fn first_of_two(self, slowest: Duration) -> Self {
        let short = (self.total / 6).max(4 * slowest);
        Self {
            total: self.total.min(short),
            ..self
        }
    }
}

/// A guest that has said hello and is set up.
#[derive(Debug)]
pub struct Guest {
    running: Running,
    replies: Receiver<Result<Reply, FrameError>>,
    console: PathBuf,
    token: u64,
    /// Facts that the agent reported after set-up.
    pub facts: Facts,
    /// What cases can use.
    pub offer: case::Guest,
    /// Kernel log from the first line of boot to the end of the set-up.
    log_of_boot: Vec<String>,
    allowed: Arc<Allowed>,
    /// Whether its check for leaks was asked.
    leaks_told: bool,
    /// The lines of the last case, which the console may show a bit later than the agent.
    recent: Vec<String>,
    /// What the platform and the configuration promise of it.
    pub promise: Promise,
    /// From the start of QEMU to the handshake.
    pub boot: Duration,
    /// What cases have put in another order.
    /// Whether a case has put devices in another order on their bus.
    reordered: bool,
}

/// The last lines that a kernel printed by itself. Of what it prints when it is asked where it is,
/// only that.
fn end_of_boot(console: &str) -> String {
    let lines: Vec<_> = console.lines().collect();
    let asked = lines
        .iter()
        .position(|line| line.contains("NMI received for unknown reason"));
    let (own, answer) = lines.split_at(asked.unwrap_or(lines.len()));
    let own = own.iter().skip(own.len().saturating_sub(LINES_OF_BOOT));
    let places = answer.iter().filter(|line| line.contains("RIP: "));
    own.chain(places).copied().collect::<Vec<_>>().join("\n")
}

/// The number of lines of a console that an error shows.
const LINES_OF_BOOT: usize = 12;

/// Why a guest could not be booted.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// QEMU could not be started.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// The agent never said hello.
    #[error("the guest did not boot: {lost}; its console is in {console}\n{tail}")]
    NoHello {
        /// How it was lost.
        lost: Lost,
        /// Its console.
        console: PathBuf,
        /// Last lines of the console.
        tail: String,
    },
    /// The agent was built from other sources than the runner.
    #[error(
        "the guest's agent has revision {found}, but this runner expects {expected}; rebuild both \
         from the same source"
    )]
    Stale {
        /// Revision of the agent.
        found: String,
        /// Revision of this runner.
        expected: &'static str,
    },
    /// The host has read another configuration than the guest has.
    #[error(
        "the configuration {place} is not the one of the guest's kernel, whose /proc/config.gz \
         differs in {difference}; give the right one with --config FILE"
    )]
    OtherConfig {
        /// Where the host has it from.
        place: String,
        /// Options that differ.
        difference: String,
    },
    /// A device cannot be bound to the driver that it has between cases.
    #[error(transparent)]
    NoDriver(Box<NoDriver>),
    /// The set-up failed.
    #[error("setting the guest up: {0}")]
    Setup(String),
}

/// A device cannot be bound to the driver that it has between cases.
#[derive(Debug, thiserror::Error)]
#[error("{device} cannot be bound to {driver}: {why}; the guest's console is in {}{}", console.display(), self.hint())]
pub struct NoDriver {
    device: String,
    driver: String,
    why: String,
    /// Whether somebody else built the kernel, so that a module of it may be missing.
    ready: bool,
    /// What the agent says of modules that it could not load.
    modules: Vec<String>,
    console: PathBuf,
}

impl NoDriver {
    fn hint(&self) -> String {
        match (self.ready, self.modules.as_slice()) {
            (false, _) => String::new(),
            (true, []) => ". If it is a module of this kernel, give that with --modules PATH (or \
                           --package), and the configuration with --config FILE"
                .to_owned(),
            (true, failed) => format!(
                ". The guest could not load: {}. Give the modules of exactly this kernel with \
                 --modules PATH",
                failed.join("; ")
            ),
        }
    }
}

/// What the agent says on the console of each module that it could not load.
fn unloadable(console: &str) -> Vec<String> {
    let said = |line: &str| {
        Some(
            line.split_once("conformance agent: module ")?
                .1
                .trim()
                .to_owned(),
        )
    };
    console.lines().filter_map(said).collect()
}

impl BootError {
    /// Returns who is to blame. A machine that ends by itself has met a triple fault; QEMU's own
    /// failures have another exit status.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Qemu(_) | Self::Stale { .. } => Blame::Host,
            Self::NoHello { lost, .. } => lost.blame(),
            Self::OtherConfig { .. } => Blame::Usage,
            Self::NoDriver(no_driver) if no_driver.ready => Blame::Usage,
            Self::NoDriver(_) | Self::Setup(_) => Blame::Kernel,
        }
    }

    /// The same error of a kernel that somebody else built.
    pub fn of_ready(mut self) -> Self {
        if let Self::NoDriver(no_driver) = &mut self {
            no_driver.ready = true;
        }
        self
    }
}

/// How a guest was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The console shows a kernel panic.
    #[error("kernel panic: {0}")]
    Panic(String),
    /// The agent died, and with it the kernel, because the agent is init.
    #[error("the agent died: {0}")]
    AgentDied(String),
    /// QEMU ended without a panic.
    #[error("QEMU ended ({0})")]
    QemuEnded(String),
    /// The agent does not answer a ping.
    #[error("the kernel hangs: the agent does not answer a ping")]
    Frozen,
    /// The agent never said hello.
    #[error("the agent did not say hello within {} s", .0.as_secs())]
    Silent(Duration),
    /// Its console has stopped before the agent said hello.
    #[error("the kernel hangs during boot: no console output for {} s", .0.as_secs())]
    Quiet(Duration),
    /// QEMU still runs, but has stopped the machine.
    #[error("QEMU has stopped the machine: {0}")]
    Stopped(String),
    /// The port carried an invalid frame or an unexpected message, or the agent failed.
    #[error("{0}")]
    Broken(String),
}

impl Lost {
    fn blame(&self) -> Blame {
        match self {
            Self::QemuEnded(status) if status != "exit status: 0" => Blame::Host,
            Self::Stopped(_) => Blame::Host,
            _ => Blame::Kernel,
        }
    }

    /// Whether QEMU was ended by a signal, most likely its own `abort()`. SIGKILL comes from outside:
    /// from a run that is given up, or for want of memory.
    pub fn is_crash(&self) -> bool {
        matches!(self, Self::QemuEnded(status)
            if status.starts_with("signal") && !status.contains("SIGKILL"))
    }

    /// Whether nothing came until a limit was reached.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Silent(_))
    }
}

/// What was observed of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Outcome of each op; `None` for ops that were not reached.
    pub outcomes: Vec<Option<Outcome>>,
    /// How it ended.
    pub end: CaseEnd,
    /// Kernel log between the case before, or the first line of boot, and the case.
    pub kmsg_before: Vec<String>,
    /// Kernel log of the case.
    pub kmsg: Vec<String>,
    /// Wall time on the host.
    pub wall: Duration,
    /// Times of the phases in the guest; all 0 if the guest was lost.
    pub phases: Phases,
}

impl Observation {
    /// Whether the guest cannot be used for another case, whatever the verdict.
    pub fn spoils_guest(&self) -> bool {
        let finished = matches!(
            self.end,
            CaseEnd::Done {
                end: End::Finished | End::Stopped,
                ..
            }
        );
        !finished || self.left_changes() || self.left_dma()
    }

    /// Whether a device neither completed its DMA nor failed. The end of it may still come, and would
    /// be taken for that of the next DMA.
    fn left_dma(&self) -> bool {
        let dma = |outcome: &Outcome| matches!(&outcome.observed, Observed::Dma(dma) if dma.end == DmaEnd::TimedOut);
        self.outcomes.iter().flatten().any(dma)
    }

    /// Whether the case left the guest changed.
    pub fn left_changes(&self) -> bool {
        matches!(&self.end, CaseEnd::Done { changes, .. } if !changes.is_empty())
    }
}

/// What the agent says of a case at its end.
#[derive(Debug, Default)]
struct Seen {
    kmsg_before: Vec<String>,
    kmsg: Vec<String>,
    phases: Phases,
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseEnd {
    /// The agent reported its end.
    Done {
        /// How the child process ended.
        end: End,
        /// Differences of the guest from before the case.
        changes: Vec<String>,
    },
    /// The guest was lost.
    Lost(Lost),
}

impl Guest {
    /// Starts a machine, waits for its agent, and sets the guest up.
    pub fn boot(
        qemu: &Qemu,
        argv: &Argv,
        platform: &Platform,
        console: &Path,
        limits: Limits,
    ) -> Result<Self, BootError> {
        let start = Instant::now();
        let running = qemu.start(argv, console)?;
        let replies = read_replies(&running)?;
        let mut guest = Self {
            running,
            replies,
            console: console.to_owned(),
            token: 0,
            facts: Facts::default(),
            offer: case::Guest::default(),
            log_of_boot: Vec::new(),
            allowed: Arc::default(),
            leaks_told: false,
            recent: Vec::new(),
            promise: Promise::default(),
            boot: Duration::ZERO,
            reordered: false,
        };
        guest.facts = guest.hello(limits)?;
        guest.boot = start.elapsed();
        guest.set_up(platform)?;
        guest.offer = inventory::offered(platform, &argv.lacking, &guest.facts);
        Ok(guest)
    }

    /// Takes over the complaints of the kernel that are allowed.
    pub fn with_allowed(mut self, allowed: Arc<Allowed>) -> Self {
        allowed.mark(&mut self.log_of_boot);
        self.allowed = allowed;
        self
    }

    /// Whether the cases before have left what this one needs.
    ///
    /// A removed device that is found again becomes the last of its bus, and the kernel lists the devices
    /// that a hot reset affects in that order. No case that removes devices looks at the list, so they
    /// may share a guest.
    pub fn suits(&self, case: &Case) -> bool {
        !self.reordered || case.reorders_devices()
    }

    /// Notes what a case has put in another order.
    pub fn note_order(&mut self, case: &Case) {
        self.reordered |= case.reorders_devices();
    }

    /// Returns what the kernel complained of while it booted and was set up.
    pub fn complaint(&self) -> Option<String> {
        splat::find(&self.log_of_boot)
    }

    /// Takes over what the headers of its kernel declare.
    pub fn with_declared(mut self, declared: Option<Arc<Header>>) -> Self {
        self.offer.declared = declared;
        self
    }

    /// Takes over the configuration that the host has read, for a guest without /proc/config.gz.
    /// Where the guest has it, both have to agree.
    pub fn with_config(mut self, config: Option<&KernelConfig>) -> Result<Self, BootError> {
        let Some(config) = config else {
            return Ok(self);
        };
        if self.facts.config.is_empty() {
            self.facts.config.clone_from(&config.options);
            self.offer.config.clone_from(&config.options);
            return Ok(self);
        }
        match config.difference(&self.facts.config) {
            None => Ok(self),
            Some(difference) => Err(BootError::OtherConfig {
                place: config.place.clone(),
                difference,
            }),
        }
    }

    fn hello(&mut self, limits: Limits) -> Result<Facts, BootError> {
        match self.first_message(limits) {
            Ok(Reply::Hello { revision, facts }) if revision == wire::REVISION => Ok(facts),
            Ok(Reply::Hello { revision, .. }) => Err(BootError::Stale {
                found: revision,
                expected: wire::REVISION,
            }),
            Ok(other) => Err(self.no_hello(Lost::Broken(format!(
                "the agent's first message was \
                {other:?} instead of a hello"
            )))),
            Err(lost) => Err(self.no_hello(lost)),
        }
    }

    /// Waits for the first message until a limit is reached or QEMU has stopped the machine.
    fn first_message(&mut self, limits: Limits) -> Result<Reply, Lost> {
        let start = Instant::now();
        let mut grown = (0, start);
        let mut told = false;
        loop {
            let end = start + limits.total;
            if let Some(reply) = self.receive(end.min(Instant::now() + LOOK))? {
                return Ok(reply);
            }
            let size = std::fs::metadata(&self.console).map_or(0, |console| console.len());
            if size != grown.0 {
                grown = (size, Instant::now());
            }
            let state = self.running.monitor.state();
            if let MachineState::Stopped(why) = state {
                return Err(Lost::Stopped(why));
            }
            if Instant::now() >= end {
                self.ask_kernel_where(&state);
                return Err(Lost::Silent(limits.total));
            }
            if !told && start.elapsed() >= TELL {
                eprintln!("note: {}", self.still_booting(limits));
                told = true;
            }
            match limits.quiet {
                Some(quiet) if grown.1.elapsed() >= quiet => return Err(Lost::Quiet(quiet)),
                _ => {}
            }
        }
    }

    fn still_booting(&self, limits: Limits) -> String {
        format!(
            "a guest still boots after {} s, and may take {} s; its console is in {}",
            TELL.as_secs(),
            limits.total.as_secs(),
            self.console.display()
        )
    }

    fn no_hello(&self, lost: Lost) -> BootError {
        BootError::NoHello {
            lost,
            console: self.console.clone(),
            tail: end_of_boot(&self.console_text()),
        }
    }

    fn set_up(&mut self, platform: &Platform) -> Result<(), BootError> {
        let plan = inventory::setup(platform, &self.facts);
        let compiled = Compiled {
            plan,
            checks: Vec::new(),
        };
        let observation = self.run(&compiled);
        self.log_of_boot = [observation.kmsg_before, observation.kmsg].concat();
        let failed = |why: String| Err(BootError::Setup(why));
        match observation.end {
            CaseEnd::Lost(lost) => return failed(lost.to_string()),
            CaseEnd::Done {
                end: End::Finished, ..
            } => {}
            CaseEnd::Done { end, .. } => return failed(format!("{end:?}")),
        }
        for (op, outcome) in compiled.plan.ops.iter().zip(&observation.outcomes) {
            // A device without reset methods does not have the file.
            let optional = matches!(op, Op::File(FileOp::WriteFile { .. }));
            match outcome.as_ref().map(|outcome| &outcome.observed) {
                Some(Observed::Ok { .. }) => {}
                Some(Observed::Errno { .. }) if optional => {}
                other => return Err(self.set_up_failed(op, other)),
            }
        }
        self.facts = self
            .ask_facts()
            .map_err(|lost| BootError::Setup(lost.to_string()))?;
        Ok(())
    }

    fn set_up_failed(&self, op: &Op, observed: Option<&Observed>) -> BootError {
        let why = match observed {
            Some(Observed::Errno { errno, .. }) => errno_text(*errno),
            other => format!("{other:?}"),
        };
        match op {
            Op::Pci(PciOp::Driver {
                device,
                driver: Some(driver),
            }) => BootError::NoDriver(Box::new(NoDriver {
                device: device.clone(),
                driver: driver.clone(),
                why,
                ready: false,
                modules: unloadable(&self.console_text()),
                console: self.console.clone(),
            })),
            op => BootError::Setup(format!("{op:?}: {why}")),
        }
    }

    fn ask_facts(&mut self) -> Result<Facts, Lost> {
        self.send(&Request::Facts)?;
        match self.answer()? {
            Reply::Facts(facts) => Ok(facts),
            other => Err(Lost::Broken(format!(
                "asked for facts, the agent answered with \
                {other:?}"
            ))),
        }
    }

    /// Takes over the numbers of the groups. One that comes back after its device was unplugged gets the
    /// lowest number that is free, which was that of another device if two were gone.
    pub fn follow_groups(&mut self) -> Result<(), Lost> {
        let facts = self.ask_facts()?;
        let found = |name: &str| facts.devices.iter().find(|device| device.name == name);
        for group in &mut self.offer.groups {
            let mut devices = group.devices.iter();
            let number = devices.find_map(|device| found(&device.name)?.group);
            group.number = number.or(group.number);
        }
        self.offer.default_domain = facts.world.group_types;
        Ok(())
    }

    /// Returns the agent's answer to the last request. Skips answers to earlier pings, which an
    /// agent that was busy sends late.
    fn answer(&mut self) -> Result<Reply, Lost> {
        self.answer_within(self.ping())
    }

    fn ping(&self) -> Duration {
        PING * slowness(self.boot)
    }

    fn answer_within(&mut self, time: Duration) -> Result<Reply, Lost> {
        let deadline = Instant::now() + time;
        loop {
            match self.receive(deadline)? {
                Some(Reply::Pong { .. }) => {}
                Some(reply) => return Ok(reply),
                None => return Err(self.no_answer()),
            }
        }
    }

    /// Returns why no answer came. If QEMU has stopped the machine, the kernel is not at fault.
    fn no_answer(&mut self) -> Lost {
        let state = self.running.monitor.state();
        self.ask_kernel_where(&state);
        match state {
            MachineState::Stopped(why) => Lost::Stopped(why),
            MachineState::Running | MachineState::NoAnswer => Lost::Frozen,
        }
    }

    /// Makes a kernel that hangs print its stacks to the console. It ends by that.
    fn ask_kernel_where(&mut self, state: &MachineState) {
        if *state == MachineState::Running && self.running.monitor.interrupt().is_ok() {
            self.running.wait_for_end();
        }
    }

    /// Runs one case. The guest cannot be used after [`CaseEnd::Lost`].
    pub fn run(&mut self, compiled: &Compiled) -> Observation {
        self.run_until(compiled, |_, _| false)
    }

    /// Runs a case to its end, or until `enough` returns true. `enough` is called for every op that
    /// was executed, with its position. Some more ops may be executed before the case stops.
    pub fn run_until(
        &mut self,
        compiled: &Compiled,
        mut enough: impl FnMut(usize, &Outcome) -> bool,
    ) -> Observation {
        let start = Instant::now();
        let mut outcomes = vec![None; compiled.plan.ops.len()];
        let mut seen = Seen::default();
        let mut end = match self.exchange(compiled, &mut outcomes, &mut seen, &mut enough) {
            Ok(end) => end,
            Err(lost) => CaseEnd::Lost(lost),
        };
        if let CaseEnd::Lost(_) = end {
            seen.kmsg = self.console_since(&compiled.plan.name);
        }
        self.recent = [seen.kmsg_before.clone(), seen.kmsg.clone()].concat();
        let marked = [&mut seen.kmsg_before, &mut seen.kmsg].map(|log| self.allowed.mark(log));
        if let (CaseEnd::Done { changes, .. }, true) = (&mut end, marked.contains(&true)) {
            self.forgive_taint(changes);
        }
        Observation {
            outcomes,
            end,
            kmsg_before: seen.kmsg_before,
            kmsg: seen.kmsg,
            wall: start.elapsed(),
            phases: seen.phases,
        }
    }

    fn exchange(
        &mut self,
        compiled: &Compiled,
        outcomes: &mut [Option<Outcome>],
        seen: &mut Seen,
        enough: &mut impl FnMut(usize, &Outcome) -> bool,
    ) -> Result<CaseEnd, Lost> {
        self.token += 1;
        let own = self.token;
        let slower = slowness(self.boot);
        let plan = compiled.plan.clone();
        let plan = plan.with_patience(PATIENCE * u64::from(slower), slower.into());
        let limit = Instant::now() + Duration::from_millis(plan.timeout_ms) + RESTORE * slower;
        self.send(&Request::Run { token: own, plan })?;
        let mut pinged = false;
        let mut stopped = false;
        loop {
            let silence = if pinged { self.ping() } else { QUIET };
            match self.receive(Instant::now() + silence)? {
                Some(Reply::Step {
                    token,
                    index,
                    outcome,
                }) if token == own => {
                    if !stopped && enough(index, &outcome) {
                        stopped = true;
                        self.send(&Request::Stop { token })?;
                    }
                    if let Some(slot) = outcomes.get_mut(index) {
                        *slot = Some(outcome);
                    }
                }
                Some(Reply::Done {
                    token,
                    end,
                    left_behind,
                    kmsg_before,
                    kmsg,
                    world,
                    phases,
                }) if token == own => {
                    *seen = Seen {
                        kmsg_before,
                        kmsg,
                        phases,
                    };
                    let mut changes = left_behind;
                    changes.extend(self.changes(&world));
                    return Ok(CaseEnd::Done { end, changes });
                }
                Some(Reply::Asks(action)) => {
                    let done = self.running.monitor.perform(&action);
                    let failure = done.err().map(|error| error.to_string());
                    self.send(&Request::Answer(failure))?;
                }
                Some(Reply::Broken { why }) => return Err(Lost::Broken(why)),
                Some(Reply::Pong { .. }) if Instant::now() > limit => {
                    let why = "the agent answers pings but did not end the case within its \
                               deadline";
                    return Err(Lost::Broken(why.to_owned()));
                }
                Some(_) => pinged = false,
                None if pinged => return Err(self.no_answer()),
                None => {
                    // The agent itself kills a case that exceeds its deadline. The ping
                    // distinguishes a case that is still waiting from a kernel that hangs.
                    self.send(&Request::Ping { token: own })?;
                    pinged = true;
                }
            }
        }
    }

    /// Takes the taint of an allowed complaint for how the guest is from now on.
    fn forgive_taint(&mut self, changes: &mut Vec<String>) {
        changes.retain(|change| match added_taint(change) {
            Some(added) if added & !TAINT_OF_COMPLAINTS == 0 => {
                self.facts.world.taint |= added;
                false
            }
            _ => true,
        });
    }

    /// Returns the changes that a case left. Set-up may change everything.
    fn changes(&self, world: &World) -> Vec<String> {
        if self.offer.platform.is_empty() {
            Vec::new()
        } else {
            self.facts.world.changes(world)
        }
    }

    /// Powers the guest off, or kills its QEMU if the agent does not answer. Returns what the
    /// kernel complained of after the last case.
    pub fn end(mut self) -> Option<String> {
        let mut log = self.log().unwrap_or_default();
        let shown = self.console_text().len();
        if self.send(&Request::PowerOff).is_ok() {
            let deadline = Instant::now() + self.ping();
            while let Ok(Some(_)) = self.receive(deadline) {}
        }
        self.running.kill();
        // The agent reads nothing more then.
        let console = self.console_text();
        let last = console.get(shown..).unwrap_or_default();
        let read = [log.as_slice(), &self.recent].concat();
        log.extend(unread(last, &read));
        // The check for leaks has told of them, each with its report.
        log.retain(|line| !(self.leaks_told && line.contains(LEAKS_COUNTED)));
        self.allowed.mark(&mut log);
        splat::find(&log)
    }

    /// Returns the kernel log since the last case.
    fn log(&mut self) -> Result<Vec<String>, Lost> {
        self.send(&Request::Log)?;
        match self.answer()? {
            Reply::Log(lines) => Ok(lines),
            other => Err(Lost::Broken(format!(
                "asked for the kernel log, the agent answered with {other:?}"
            ))),
        }
    }

    /// Fetches the counters of the kernel and returns the number of files.
    pub fn counters(&mut self, into: &mut GuestCounters) -> Result<usize, CountersError> {
        self.send(&Request::Counters)?;
        loop {
            match self.answer()? {
                Reply::Counters { path, bytes } => into.add(&path, &bytes)?,
                Reply::CountersEnd { files: 0, unread } if unread.is_empty() => {
                    return Err(CountersError::None);
                }
                Reply::CountersEnd { files, unread } => {
                    return match unread.first() {
                        None => Ok(files),
                        Some(first) => Err(CountersError::Unread(first.clone())),
                    };
                }
                other => return Err(CountersError::Answer(format!("{other:?}"))),
            }
        }
    }

    /// Asks whether checks of the kernel are still on, and what they found.
    pub fn checks(&mut self, checks: &[KernelCheck]) -> Result<Vec<CheckState>, Lost> {
        self.send(&Request::Checks(checks.to_vec()))?;
        match self.answer_within(CHECKS * slowness(self.boot))? {
            Reply::Checks(states) => {
                self.leaks_told = checks.contains(&KernelCheck::Kmemleak);
                Ok(states)
            }
            other => Err(Lost::Broken(format!(
                "asked for the kernel's checks, the agent answered with {other:?}"
            ))),
        }
    }

    /// Process id of its QEMU.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn send(&mut self, request: &Request) -> Result<(), Lost> {
        let frame = frame::encode(request).map_err(|error| Lost::Broken(error.to_string()))?;
        let sent = self.running.requests.write_all(&frame);
        sent.map_err(|_| self.post_mortem())
    }

    /// Returns the next message, or `None` at the deadline.
    fn receive(&mut self, deadline: Instant) -> Result<Option<Reply>, Lost> {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.replies.recv_timeout(left) {
            Ok(Ok(reply)) => Ok(Some(reply)),
            Ok(Err(FrameError::Closed | FrameError::Io(_)))
            | Err(RecvTimeoutError::Disconnected) => Err(self.post_mortem()),
            Ok(Err(error)) => Err(Lost::Broken(error.to_string())),
            Err(RecvTimeoutError::Timeout) => Ok(None),
        }
    }

    /// Returns how the guest was lost, after the port was closed: QEMU has ended or is about to.
    fn post_mortem(&mut self) -> Lost {
        self.running.wait_for_end();
        let console = self.console_text();
        let panic = console
            .lines()
            .find_map(|line| line.split_once("Kernel panic - not syncing: "));
        match panic {
            Some((_, why)) if why.contains("Attempted to kill init") => {
                Lost::AgentDied(why.trim().to_owned())
            }
            Some((_, why)) => Lost::Panic(why.trim().to_owned()),
            None => {
                let status = self.running.ended();
                Lost::QemuEnded(status.map_or("still closing".to_owned(), |s| s.to_string()))
            }
        }
    }

    fn console_text(&self) -> String {
        let bytes = std::fs::read(&self.console).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Returns the console from the start of the case, which replaces the kernel log of a lost
    /// guest.
    fn console_since(&self, case: &str) -> Vec<String> {
        let text = self.console_text();
        let lines: Vec<_> = text.lines().collect();
        let marker = format!("start {case}");
        let start = lines.iter().rposition(|line| line.ends_with(&marker));
        let start = start.unwrap_or_else(|| lines.len().saturating_sub(60));
        lines[start..]
            .iter()
            .map(|line| (*line).to_owned())
            .collect()
    }
}

/// Returns the lines of a console that the agent has not read, which have a time before them there.
fn unread(console: &str, read: &[String]) -> Vec<String> {
    let is_read = |line: &str| {
        let mut read = read.iter().filter(|it| !it.trim().is_empty());
        read.any(|it| line.trim_end().ends_with(it.trim_end()))
    };
    let lines = console.lines().filter(|line| !is_read(line));
    lines.map(str::to_owned).collect()
}

/// Returns by which factor a machine is slower than the one that deadlines are written for, at
/// least 1.
fn slowness(boot: Duration) -> u32 {
    let slower = u32::try_from(boot.as_millis() / BOOT_OF_REFERENCE).unwrap_or(SLOWEST);
    slower.clamp(1, SLOWEST)
}

fn read_replies(running: &Running) -> Result<Receiver<Result<Reply, FrameError>>, QemuError> {
    let mut port = running.replies.try_clone()?;
    let (to, from) = channel();
    std::thread::spawn(move || {
        loop {
            let reply = frame::read_frame(&mut port);
            let last = reply.is_err();
            if to.send(reply).is_err() || last {
                return;
            }
        }
    });
    Ok(from)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use std::time::Duration;

    use super::{LINES_OF_BOOT, Limits, Lost, NoDriver, end_of_boot, slowness, unloadable, unread};

    #[rstest]
    #[case::built_here(false, "", "console-1.log")]
    #[case::not_given(true, "", "--config FILE")]
    #[case::of_another_build(
        true,
        "[ 1.0] vfio: bad\nconformance agent: module 002-vfio.ko: Exec format error\r\n",
        "could not load: 002-vfio.ko: Exec format error. Give the modules of exactly this kernel \
         with --modules PATH"
    )]
    fn a_missing_driver_says_what_to_do(
        #[case] ready: bool,
        #[case] console: &str,
        #[case] ends: &str,
    ) {
        let error = NoDriver {
            device: "0000:01:01.0".to_owned(),
            driver: "vfio-pci".to_owned(),
            why: "ENOENT".to_owned(),
            ready,
            modules: unloadable(console),
            console: "console-1.log".into(),
        };
        let text = error.to_string();
        assert!(
            text.starts_with("0000:01:01.0 cannot be bound to vfio-pci: ENOENT"),
            "{text}"
        );
        assert!(text.ends_with(ends), "{text}");
    }

    #[rstest]
    #[case::hung(
        "nvme: a\nnvme: b\nUhhuh. NMI received for unknown reason 30 on CPU 0.\n\
                  Kernel panic - not syncing\nRIP: 0010:nvme_probe+0x1/0x2\nCR2: 0\n",
        "nvme: a\nnvme: b\nRIP: 0010:nvme_probe+0x1/0x2"
    )]
    #[case::panicked(
        "a\nKernel panic - not syncing: b\n",
        "a\nKernel panic - not syncing: b"
    )]
    #[case::silent("", "")]
    fn the_end_of_a_boot_is_what_the_kernel_said_by_itself(
        #[case] console: &str,
        #[case] want: &str,
    ) {
        assert_eq!(end_of_boot(console), want);
        let long = "x\n".repeat(20) + console;
        let kept = end_of_boot(&long);
        assert!(
            kept.ends_with(want) && kept.lines().count() <= LINES_OF_BOOT + 1,
            "{kept}"
        );
    }

    #[rstest]
    #[case::late("[   12.3] BUG: a\r\n[   12.4] BUG: b\r\n", &["BUG: a", ""], &["[   12.4] BUG: b"])]
    #[case::nothing_read("[   12.3] BUG: a\n", &[], &["[   12.3] BUG: a"])]
    fn a_line_that_the_console_shows_late_is_told_once(
        #[case] console: &str,
        #[case] read: &[&str],
        #[case] want: &[&str],
    ) {
        let read: Vec<_> = read.iter().map(ToString::to_string).collect();
        assert_eq!(unread(console, &read), want);
    }

    #[rstest]
    #[case::kvm(300, 1)]
    #[case::tcg(1740, 1)]
    #[case::kvm_that_is_emulated(20_000, 10)]
    #[case::held_up(110_000, 10)]
    fn a_slow_machine_gets_time(#[case] boot_ms: u64, #[case] expected: u32) {
        assert_eq!(slowness(Duration::from_millis(boot_ms)), expected);
    }

    #[rstest]
    #[case::asserted(Lost::QemuEnded("signal: 6 (SIGABRT)".to_owned()), true)]
    #[case::killed(Lost::QemuEnded("signal: 9 (SIGKILL)".to_owned()), false)]
    #[case::powered_off(Lost::QemuEnded("exit status: 0".to_owned()), false)]
    #[case::panicked(Lost::Panic("signal".to_owned()), false)]
    fn only_qemu_crashes(#[case] lost: Lost, #[case] expected: bool) {
        assert_eq!(lost.is_crash(), expected);
    }

    #[rstest]
    #[case::nothing_known(0, 20)]
    #[case::usual(3, 20)]
    #[case::slow_host(9, 36)]
    #[case::very_slow_host(50, 120)]
    fn a_first_try_is_short_but_not_on_a_slow_host(#[case] slowest: u64, #[case] seconds: u64) {
        let whole = Limits {
            total: Duration::from_secs(120),
            quiet: None,
        };
        let first = whole.first_of_two(Duration::from_secs(slowest));
        assert_eq!(first.total, Duration::from_secs(seconds));
    }
}
