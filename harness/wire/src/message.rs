//! The messages in both directions.

use serde::{Deserialize, Serialize};

use crate::{Facts, HostAction, Outcome, Plan, World};

/// A request of the host to the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Run one case in its own child process.
    Run {
        /// Chosen by the host, repeated in every reply about this case.
        token: u64,
        /// What to execute.
        plan: Plan,
    },
    /// Collect the facts again, for example after set-up.
    Facts,
    /// Send the kernel's gcov counters.
    Counters,
    /// Send what the kernel has logged since the last case.
    Log,
    /// Say whether these checks of the kernel are still on, and what they found. kmemleak needs
    /// seconds for that.
    Checks(Vec<KernelCheck>),
    /// Answered at once, even while a case runs. Distinguishes a hung case from a hung kernel.
    Ping {
        /// Repeated in the answer.
        token: u64,
    },
    /// End the case, because its further outcomes are not needed. The restore ops are executed.
    Stop {
        /// From [`Request::Run`]: the case may have ended in the meantime.
        token: u64,
    },
    /// The result of [`Reply::Asks`]: `None`, or why it could not be done.
    Answer(Option<String>),
    /// Power the guest off.
    PowerOff,
}

/// A message of the agent to the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// First message of a guest.
    Hello {
        /// [`crate::REVISION`] of the agent.
        revision: String,
        /// Facts about this guest.
        facts: Facts,
    },
    /// Answer to [`Request::Facts`].
    Facts(Facts),
    /// One op was executed. It is sent while the case runs, so that a panic loses nothing.
    Step {
        /// The token of the [`Request::Run`] that this answers.
        token: u64,
        /// Position in [`Plan::ops`].
        index: usize,
        /// What was observed.
        outcome: Outcome,
    },
    /// The case is over and the restore ops have run.
    Done {
        /// The token of the [`Request::Run`] that this answers.
        token: u64,
        /// How the child process ended.
        end: End,
        /// Descriptions of ops of [`Plan::restore`] that failed, and of memory that is still
        /// accounted to the case after all files are closed.
        left_behind: Vec<String>,
        /// Kernel log from the end marker of the case before, or from the first line of boot, to
        /// the start marker.
        kmsg_before: Vec<String>,
        /// Kernel log between the start and the end marker.
        kmsg: Vec<String>,
        /// The guest after the case.
        world: World,
        /// Times of the phases in the guest.
        phases: Phases,
    },
    /// A case requests an action of the host and waits for it.
    Asks(HostAction),
    /// The next bytes of one file of counters: part of the answer to [`Request::Counters`].
    Counters {
        /// Its path below the kernel's folder of counters, which is the path of the build.
        path: String,
        /// The bytes that follow those sent before.
        bytes: Vec<u8>,
    },
    /// The end of the answer to [`Request::Counters`].
    CountersEnd {
        /// Number of files that were sent completely.
        files: usize,
        /// Files that could not be read, with the reason.
        unread: Vec<String>,
    },
    /// Answer to [`Request::Log`].
    Log(Vec<String>),
    /// Answer to [`Request::Checks`], in its order.
    Checks(Vec<CheckState>),
    /// Answer to [`Request::Ping`].
    Pong {
        /// From the request.
        token: u64,
    },
    /// The agent cannot continue; the guest has to be replaced.
    Broken {
        /// What was tried and what happened.
        why: String,
    },
}

/// A check of the kernel that the kernel can switch off by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KernelCheck {
    /// lockdep: off after its first report, or when its tables are full.
    Lockdep,
    /// kmemleak: off when it has no memory for a record. It is asked for leaks, too.
    Kmemleak,
    /// debugobjects: off when it has no memory for a record.
    DebugObjects,
}

/// State of a check at the end of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckState {
    /// The check that this is the state of.
    pub check: KernelCheck,
    /// Why it is off, or cannot be asked.
    pub trouble: Option<String>,
    /// What it found: a report for each thing, such as a leak.
    pub found: Vec<String>,
}

/// Times of the phases of one case in the guest, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Reading and decoding the plan.
    pub receive: u64,
    /// The marker in the kernel log.
    pub mark: u64,
    /// From there to the first op in the case's own process.
    pub fork: u64,
    /// All ops of the case, the waits in them too.
    pub ops: u64,
    /// Closing everything, and checking for leaks.
    pub close: u64,
    /// The end of the process, until it is reaped.
    pub exit: u64,
    /// The restore ops, in their own process.
    pub restore: u64,
    /// Looking for left-over processes.
    pub orphans: u64,
    /// Reading drivers, groups, taint, pinned pages and mock devices.
    pub world: u64,
    /// Reading the kernel log.
    pub log: u64,
}

/// How the child process of a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// All ops were executed.
    Finished,
    /// The host stopped it.
    Stopped,
    /// It did not end within [`Plan::timeout_ms`] and was killed.
    TimedOut {
        /// Kernel stack of the child, if it can be read.
        stack: String,
    },
    /// It did not die of SIGKILL, because it hangs in the kernel.
    Unkillable {
        /// Kernel stack of the child, if it can be read.
        stack: String,
    },
    /// It was killed by a signal that no op explains.
    Killed {
        /// Number of the signal, as in `signal.h`.
        signal: i32,
    },
    /// It ended early with this exit code.
    Exited {
        /// The code given to `exit(2)`.
        code: i32,
    },
}
