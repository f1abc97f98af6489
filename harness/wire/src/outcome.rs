//! Observations of the agent, which never judges.

use serde::{Deserialize, Serialize};

/// Outcome of one op.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How the op ended, and what it returned.
    pub observed: Observed,
    /// Wall time in microseconds.
    pub us: u64,
}

/// What happened when an op was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Observed {
    /// The call succeeded.
    Ok {
        /// Return value (a file descriptor, an address, an ioctl's result).
        ret: u64,
        /// Memory after the call: an ioctl's argument, bytes read.
        data: Vec<u8>,
    },
    /// The call failed.
    Errno {
        /// Positive error number.
        errno: i32,
        /// Memory after the call, as for `Ok`.
        data: Vec<u8>,
    },
    /// A load or store raised a signal.
    Signal(i32),
    /// A device was told to do DMA.
    Dma(Dma),
    /// An op was executed with failures injected.
    Injected(Injected),
    /// Ops were executed at once, in the order of the ops.
    Together(Vec<Racer>),
    /// Not executed: a value that it needs is missing, because the op that should have saved it
    /// failed.
    NotRun {
        /// Name of the missing slot.
        missing: String,
    },
    /// The agent could not execute the op. This is a failure of the infrastructure, not of the
    /// kernel.
    Broken {
        /// What was tried and what happened.
        why: String,
    },
}

/// One of the ops that were executed at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Racer {
    /// Its outcome.
    pub outcome: Outcome,
    /// When it began, in nanoseconds since some moment before all of them.
    pub began: u64,
    /// When it had ended, from the same moment.
    pub ended: u64,
}

/// Outcome of [`crate::FailNth`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Injected {
    /// The executions with an injected failure.
    pub attempts: Vec<Attempt>,
    /// The execution without a further failure to inject.
    pub last: Box<Outcome>,
}

/// Kinds of injected failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Failure {
    /// An allocation of memory.
    Allocation,
    /// A copy from or to the memory of the caller.
    Copy,
    /// One of the hooks that `CONFIG_IOMMUFD_TEST` adds to iommufd, such as a look-up that finds no
    /// object.
    Hook,
}

/// One execution with an injected failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Number of the point of failure, from 1.
    pub nth: u32,
    /// The call inside the kernel that was made to fail.
    pub failure: Failure,
    /// How the op ended with this failure.
    pub outcome: Outcome,
    /// Outcomes of the ops that checked the state afterwards.
    pub after: Vec<Outcome>,
}

/// What a device's DMA did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dma {
    /// What the device was to do.
    pub access: DmaAccess,
    /// How the device reports the transfer.
    pub end: DmaEnd,
    /// Number of bytes that changed in the watched page, or in the device's memory if it read.
    pub changed: u32,
    /// Identity string there, which shows the device that wrote it.
    pub signature: String,
}

/// What a device does by DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DmaAccess {
    /// It writes a page.
    Write,
    /// It reads a page.
    Read,
}

/// How the device reports a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DmaEnd {
    /// The device completed the command.
    Completed,
    /// The device's access was blocked.
    Faulted,
    /// Neither within the deadline.
    TimedOut,
    /// The device's registers read as all ones: it is not accessible at all.
    Absent,
}
