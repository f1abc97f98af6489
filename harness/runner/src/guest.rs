//! One booted guest: handshake, set-up, one case after the other.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    time::{Duration, Instant},
};

use case::Compiled;
use wire::{
    End, Facts, FileOp, FrameError, Observed, Op, Outcome, Phases, Reply, Request, World, frame,
};

use crate::{
    counters::{CountersError, GuestCounters},
    inventory,
    platform::Platform,
    qemu::{Argv, Qemu, QemuError, Running},
};

/// Between two looks whether a guest that has not said hello may still do so.
const LOOK: Duration = Duration::from_millis(500);
/// Time in which an agent that is alive answers a ping.
const PING: Duration = Duration::from_secs(10);
/// A guest that says nothing for so long is pinged.
const QUIET: Duration = Duration::from_secs(4);
/// Deadlines are written for a machine that boots in so many ms, as one does under TCG. On others
/// they are as much longer as those are slower: see [`slowness`].
const BOOT_OF_REFERENCE: u128 = 2000;
/// Every host is busy now and then: a case has so many times the time that it says.
const PATIENCE: u64 = 3;
/// A boot that took minutes was held up by something else.
const SLOWEST: u64 = 10;
/// What the agent needs beyond a case's deadline to kill it and to restore the guest.
const RESTORE: Duration = Duration::from_secs(30);

/// How long a guest may take to say hello.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From the start of QEMU to the agent's first message.
    pub total: Duration,
    /// A console that has not grown for so long has stopped. Only for kernels that tell all they
    /// do: others are silent for most of their boot.
    pub quiet: Option<Duration>,
}

impl Limits {
    /// A debug kernel under emulation takes its time; a guest that dies is noticed at once.
    pub const STANDARD: Self = Self {
        total: Duration::from_secs(120),
        quiet: None,
    };
}

/// A guest that has said hello and is set up.
#[derive(Debug)]
pub struct Guest {
    running: Running,
    replies: Receiver<Result<Reply, FrameError>>,
    console: PathBuf,
    token: u64,
    /// What the agent told of the guest after set-up.
    pub facts: Facts,
    /// What cases can use.
    pub offer: case::Guest,
    /// From the start of QEMU to the handshake.
    pub boot: Duration,
}

/// Why there is no guest.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// QEMU could not be started.
    #[error(transparent)]
    Qemu(#[from] QemuError),
    /// It never said hello.
    #[error("the guest did not come up: {lost}; its console is in {console}\n{tail}")]
    NoHello {
        /// How it was lost.
        lost: Lost,
        /// Its console.
        console: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// The agent was built from other sources than the runner.
    #[error(
        "the guest's agent speaks revision {found}, this runner {expected}: build them together"
    )]
    Stale {
        /// What the agent said.
        found: String,
        /// What this runner expects.
        expected: &'static str,
    },
    /// The set-up failed.
    #[error("setting the guest up: {0}")]
    Setup(String),
}

/// How a guest was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The console shows a kernel panic.
    #[error("kernel panic: {0}")]
    Panic(String),
    /// The agent died; the kernel with it.
    #[error("the agent died: {0}")]
    AgentDied(String),
    /// QEMU ended without a panic.
    #[error("QEMU ended ({0})")]
    QemuEnded(String),
    /// Nothing answers, not even a ping.
    #[error("the kernel hangs: no answer to a ping")]
    Frozen,
    /// It never said hello.
    #[error("the agent did not say hello within {} s", .0.as_secs())]
    Silent(Duration),
    /// Its console has stopped before the agent said hello.
    #[error("the kernel has stopped: nothing new on its console for {} s", .0.as_secs())]
    Quiet(Duration),
    /// QEMU is there and does not run the machine any more.
    #[error("QEMU has stopped the machine: {0}")]
    Stopped(String),
    /// The port carried something that is no frame, or the agent gave up.
    #[error("{0}")]
    Broken(String),
}

impl Lost {
    /// QEMU was killed by a signal, its own (`abort()`) most likely.
    pub fn is_crash(&self) -> bool {
        matches!(self, Self::QemuEnded(status) if status.starts_with("signal"))
    }
}

/// What was seen of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Outcome of each op, as far as it came.
    pub outcomes: Vec<Option<Outcome>>,
    /// How it ended.
    pub end: CaseEnd,
    /// Kernel log of the case.
    pub kmsg: Vec<String>,
    /// Wall time on the host.
    pub wall: Duration,
    /// Where the guest's time went; nothing of a guest that was lost.
    pub phases: Phases,
}

impl Observation {
    /// Whether no other case may run in the guest, whatever the verdict.
    pub fn spoils_guest(&self) -> bool {
        let finished = matches!(
            self.end,
            CaseEnd::Done {
                end: End::Finished | End::Stopped,
                ..
            }
        );
        !finished || self.left_changes()
    }

    /// Whether the guest is not as it was before the case.
    pub fn left_changes(&self) -> bool {
        matches!(&self.end, CaseEnd::Done { changes, .. } if !changes.is_empty())
    }
}

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaseEnd {
    /// The agent reported its end.
    Done {
        /// Of the child process.
        end: End,
        /// In what the guest differs from before.
        changes: Vec<String>,
    },
    /// The guest was lost with it.
    Lost(Lost),
}

impl Guest {
    /// Starts a machine, waits for its agent and sets it up.
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
            boot: Duration::ZERO,
        };
        guest.facts = guest.hello(limits)?;
        guest.boot = start.elapsed();
        guest.set_up(platform)?;
        guest.offer = inventory::offered(platform, &argv.lacking, &guest.facts);
        Ok(guest)
    }

    fn hello(&mut self, limits: Limits) -> Result<Facts, BootError> {
        match self.first_message(limits) {
            Ok(Reply::Hello { revision, facts }) if revision == wire::REVISION => Ok(facts),
            Ok(Reply::Hello { revision, .. }) => Err(BootError::Stale {
                found: revision,
                expected: wire::REVISION,
            }),
            Ok(other) => Err(self.no_hello(Lost::Broken(format!("first said {other:?}")))),
            Err(lost) => Err(self.no_hello(lost)),
        }
    }

    /// Waits for the first message as long as there is hope for one.
    fn first_message(&mut self, limits: Limits) -> Result<Reply, Lost> {
        let start = Instant::now();
        let mut grown = (0, start);
        loop {
            let end = start + limits.total;
            if let Some(reply) = self.receive(end.min(Instant::now() + LOOK))? {
                return Ok(reply);
            }
            let size = std::fs::metadata(&self.console).map_or(0, |console| console.len());
            if size != grown.0 {
                grown = (size, Instant::now());
            }
            if let Some(why) = self.running.monitor.why_stopped() {
                return Err(Lost::Stopped(why));
            }
            if Instant::now() >= end {
                return Err(Lost::Silent(limits.total));
            }
            match limits.quiet {
                Some(quiet) if grown.1.elapsed() >= quiet => return Err(Lost::Quiet(quiet)),
                _ => {}
            }
        }
    }

    fn no_hello(&self, lost: Lost) -> BootError {
        let text = self.console_text();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        BootError::NoHello {
            lost,
            console: self.console.clone(),
            tail,
        }
    }

    fn set_up(&mut self, platform: &Platform) -> Result<(), BootError> {
        let plan = inventory::setup(platform, &self.facts);
        let compiled = Compiled {
            plan,
            checks: Vec::new(),
        };
        let observation = self.run(&compiled);
        let failed = |why: String| Err(BootError::Setup(why));
        match observation.end {
            CaseEnd::Lost(lost) => return failed(lost.to_string()),
            CaseEnd::Done {
                end: End::Finished, ..
            } => {}
            CaseEnd::Done { end, .. } => return failed(format!("{end:?}")),
        }
        for (op, outcome) in compiled.plan.ops.iter().zip(&observation.outcomes) {
            // A device without reset methods has no such file.
            let optional = matches!(op, Op::File(FileOp::WriteFile { .. }));
            match outcome.as_ref().map(|outcome| &outcome.observed) {
                Some(Observed::Ok { .. }) => {}
                Some(Observed::Errno { .. }) if optional => {}
                other => return failed(format!("{op:?}: {other:?}")),
            }
        }
        self.facts = self
            .ask_facts()
            .map_err(|lost| BootError::Setup(lost.to_string()))?;
        Ok(())
    }

    fn ask_facts(&mut self) -> Result<Facts, Lost> {
        self.send(&Request::Facts)?;
        match self.answer()? {
            Reply::Facts(facts) => Ok(facts),
            other => Err(Lost::Broken(format!("asked for facts, got {other:?}"))),
        }
    }

    /// The agent's answer to what it was just asked. An answer to an earlier ping may come first:
    /// the agent was busy when it was pinged, and said what it was busy with before.
    fn answer(&mut self) -> Result<Reply, Lost> {
        let deadline = Instant::now() + PING;
        loop {
            match self.receive(deadline)? {
                Some(Reply::Pong { .. }) => {}
                Some(reply) => return Ok(reply),
                None => return Err(self.no_answer()),
            }
        }
    }

    /// What it means that nothing was answered: a machine that QEMU has stopped says nothing of
    /// the kernel.
    fn no_answer(&mut self) -> Lost {
        let stopped = self.running.monitor.why_stopped();
        stopped.map_or(Lost::Frozen, Lost::Stopped)
    }

    /// Runs one case. After [`CaseEnd::Lost`] the guest is of no use any more.
    pub fn run(&mut self, compiled: &Compiled) -> Observation {
        self.run_until(compiled, |_, _| false)
    }

    /// Runs a case to its end, or until enough is seen: `enough` hears of every op that was
    /// executed, by its position. Some more ops may be executed before the case stops.
    pub fn run_until(
        &mut self,
        compiled: &Compiled,
        mut enough: impl FnMut(usize, &Outcome) -> bool,
    ) -> Observation {
        let start = Instant::now();
        let mut outcomes = vec![None; compiled.plan.ops.len()];
        let mut kmsg = Vec::new();
        let mut phases = Phases::default();
        let seen = (&mut kmsg, &mut phases);
        let end = match self.exchange(compiled, &mut outcomes, seen, &mut enough) {
            Ok(end) => end,
            Err(lost) => CaseEnd::Lost(lost),
        };
        if let CaseEnd::Lost(_) = end {
            kmsg = self.console_since(&compiled.plan.name);
        }
        Observation {
            outcomes,
            end,
            kmsg,
            wall: start.elapsed(),
            phases,
        }
    }

    fn exchange(
        &mut self,
        compiled: &Compiled,
        outcomes: &mut [Option<Outcome>],
        (log, took): (&mut Vec<String>, &mut Phases),
        enough: &mut impl FnMut(usize, &Outcome) -> bool,
    ) -> Result<CaseEnd, Lost> {
        self.token += 1;
        let own = self.token;
        let slower = slowness(self.boot);
        let plan = compiled.plan.clone();
        let plan = plan.with_patience(PATIENCE * slower, slower);
        let limit = Instant::now() + Duration::from_millis(plan.timeout_ms) + RESTORE;
        self.send(&Request::Run { token: own, plan })?;
        let mut pinged = false;
        let mut stopped = false;
        loop {
            let silence = if pinged { PING } else { QUIET };
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
                    kmsg,
                    world,
                    phases,
                }) if token == own => {
                    *log = kmsg;
                    *took = phases;
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
                    let why = "the agent answers pings but never ends the case";
                    return Err(Lost::Broken(why.to_owned()));
                }
                Some(_) => pinged = false,
                None if pinged => return Err(self.no_answer()),
                None => {
                    // The agent kills a case that is late by itself: a ping tells a case
                    // that waits for its deadline from a dead kernel.
                    self.send(&Request::Ping { token: own })?;
                    pinged = true;
                }
            }
        }
    }

    /// While the guest is set up, everything may change.
    fn changes(&self, world: &World) -> Vec<String> {
        if self.offer.platform.is_empty() {
            Vec::new()
        } else {
            self.facts.world.changes(world)
        }
    }

    /// Ends the guest in good order, or else by force.
    pub fn end(mut self) {
        // An agent that does not answer is killed with its machine.
        if self.send(&Request::PowerOff).is_ok() {
            let deadline = Instant::now() + PING;
            while let Ok(Some(_)) = self.receive(deadline) {}
        }
        self.running.kill();
    }

    /// Fetches the counters of its kernel; how many files they are.
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

    /// Process id of its QEMU.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn send(&mut self, request: &Request) -> Result<(), Lost> {
        let frame = frame::encode(request).map_err(|error| Lost::Broken(error.to_string()))?;
        let sent = self.running.port.write_all(&frame);
        sent.map_err(|_| self.post_mortem())
    }

    /// The next message; none at the deadline.
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

    /// The port is closed: QEMU has ended or is about to.
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

    /// The last lines of the console: all that is left of a lost guest's log.
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

/// How many times slower a machine is than the one that deadlines are written for. A faster one
/// keeps them: it does not need them.
fn slowness(boot: Duration) -> u64 {
    let slower = u64::try_from(boot.as_millis() / BOOT_OF_REFERENCE).unwrap_or(SLOWEST);
    slower.clamp(1, SLOWEST)
}

fn read_replies(running: &Running) -> Result<Receiver<Result<Reply, FrameError>>, QemuError> {
    let mut port = running.port.try_clone()?;
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

    use super::{Lost, slowness};

    #[rstest]
    #[case::kvm(300, 1)]
    #[case::tcg(1740, 1)]
    #[case::kvm_that_is_emulated(20_000, 10)]
    #[case::held_up(110_000, 10)]
    fn a_slow_machine_gets_time(#[case] boot_ms: u64, #[case] expected: u64) {
        assert_eq!(slowness(Duration::from_millis(boot_ms)), expected);
    }

    #[rstest]
    #[case::asserted(Lost::QemuEnded("signal: 6 (SIGABRT)".to_owned()), true)]
    #[case::powered_off(Lost::QemuEnded("exit status: 0".to_owned()), false)]
    #[case::panicked(Lost::Panic("signal".to_owned()), false)]
    fn only_qemu_crashes(#[case] lost: Lost, #[case] expected: bool) {
        assert_eq!(lost.is_crash(), expected);
    }
}
