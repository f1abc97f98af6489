//! The messages of the two directions.

use serde::{Deserialize, Serialize};

use crate::{Facts, HostAction, Outcome, Plan, World};

/// What the host asks of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// Run one case in a child process of its own.
    Run {
        /// Chosen by the host, repeated in every reply about this case.
        token: u64,
        /// What to execute.
        plan: Plan,
    },
    /// Look at the guest again (after set-up, say).
    Facts,
    /// Send the counters of a kernel that counts what it executes.
    Counters,
    /// Answered at once, also while a case runs: tells a hung case from a hung kernel.
    Ping {
        /// Repeated in the answer.
        token: u64,
    },
    /// End the case: what follows tells nothing any more. The restore ops are executed.
    Stop {
        /// From [`Request::Run`]: the case may have ended meanwhile.
        token: u64,
    },
    /// What came of [`Reply::Asks`]: none, or why it could not be done.
    Answer(Option<String>),
    /// End the guest in good order.
    PowerOff,
}

/// What the agent tells the host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Reply {
    /// First message of a guest.
    Hello {
        /// [`crate::REVISION`] of the agent.
        revision: String,
        /// What this guest is.
        facts: Facts,
    },
    /// Answer to [`Request::Facts`].
    Facts(Facts),
    /// One op was executed; sent while the case runs, so that a panic loses nothing.
    Step {
        /// From [`Request::Run`].
        token: u64,
        /// Position in [`Plan::ops`].
        index: usize,
        /// What was observed.
        outcome: Outcome,
    },
    /// The case is over and the restore ops have run.
    Done {
        /// From [`Request::Run`].
        token: u64,
        /// How the child process ended.
        end: End,
        /// Ops of [`Plan::restore`] that failed, and memory that is accounted to the case
        /// with all of its files closed, in words.
        left_behind: Vec<String>,
        /// Kernel log between the start and the end marker.
        kmsg: Vec<String>,
        /// The guest after the case.
        world: World,
        /// Where the guest's time went.
        phases: Phases,
    },
    /// A case waits for the host to do something.
    Asks(HostAction),
    /// The next bytes of one file of counters: part of the answer to [`Request::Counters`].
    Counters {
        /// Its path below the kernel's folder of counters, which is that of the build.
        path: String,
        /// What follows the bytes sent before.
        bytes: Vec<u8>,
    },
    /// The end of the answer to [`Request::Counters`].
    CountersEnd {
        /// How many files were sent whole.
        files: usize,
        /// Those that were not, and why.
        unread: Vec<String>,
    },
    /// Answer to [`Request::Ping`].
    Pong {
        /// From the request.
        token: u64,
    },
    /// The agent cannot go on; the guest has to be replaced.
    Broken {
        /// What was tried and what happened.
        why: String,
    },
}

/// Where the guest's time of one case goes, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// Reading and decoding the plan.
    pub receive: u64,
    /// The marker in the kernel log.
    pub mark: u64,
    /// From there to the first op in the case's own process.
    pub fork: u64,
    /// All ops.
    pub ops: u64,
    /// Closing everything, and what is accounted even so.
    pub close: u64,
    /// The end of the process, until it is reaped.
    pub exit: u64,
    /// The restore ops, in a process of their own.
    pub restore: u64,
    /// Looking for processes that are left.
    pub orphans: u64,
    /// Looking at drivers, groups, taint, pinned pages and mock devices.
    pub world: u64,
    /// Reading the kernel log.
    pub log: u64,
}

/// How the child process of a case ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// All ops were executed.
    Finished,
    /// The host had it stopped.
    Stopped,
    /// It did not end within [`Plan::timeout_ms`] and was killed.
    TimedOut {
        /// Kernel stack of the child where it can be read.
        stack: String,
    },
    /// It did not even die of SIGKILL: it hangs in the kernel.
    Unkillable {
        /// Kernel stack of the child where it can be read.
        stack: String,
    },
    /// It died of a signal that no op accounts for.
    Killed {
        /// Signal number.
        signal: i32,
    },
    /// It ended early with this exit code.
    Exited {
        /// Exit code.
        code: i32,
    },
}
