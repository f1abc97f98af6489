//! Processes, their rights and limits.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, NewFd, Returned, Timeout, Value,
    operand::{constants, ops},
};

ops! {
    /// Processes, their rights and limits.
    pub enum ProcessOp {
        /// `fork(2)`: a copy of the process that waits for ops.
        Fork {
            /// Name of the new process in the case.
            process: String,
        },
        /// Let a forked process exit, and wait for it; `ret` is its exit status.
        Exit {
            /// Name of the forked process.
            process: String,
        },
        /// `userfaultfd(2)`: the first access to the memory, by a process or by the kernel, waits.
        UffdBlock {
            /// Start of the memory, which has not been accessed yet.
            at: Value,
            /// Length of the memory in bytes.
            length: u64,
            /// Receives the descriptor.
            save: NewFd,
        },
        /// Wait until a forked process waits for such memory.
        WaitFault {
            /// Name of the forked process.
            process: String,
            /// The descriptor, in that process.
            uffd: Fd,
            /// How long to wait at most.
            timeout: Timeout,
            /// Receives the address that it accessed.
            save: Returned,
        },
        /// Resume a forked process that waits for such memory.
        UffdResume {
            /// Name of the forked process.
            process: String,
            /// The descriptor, in that process.
            uffd: Fd,
            /// The address that it accessed.
            at: Value,
        },
        /// Wait until a forked process is in an uninterruptible sleep.
        WaitBlocked {
            /// Name of the forked process.
            process: String,
            /// How long to wait at most.
            timeout: Timeout,
        },
        /// Send a forked process a signal that it handles, which ends a wait that signals may end.
        Interrupt {
            /// Name of the forked process.
            process: String,
        },
        /// Raise or drop one capability in the effective set of the process. The permitted set
        /// stays, so that it can be raised again.
        Capability {
            /// Number of the capability: a `CAP_*` of `capability.h`.
            number: u8,
            /// Whether the process has it from now on.
            effective: bool,
        },
        /// `setrlimit(2)` of the soft limit.
        Rlimit {
            /// The limit to set.
            resource: Resource,
            /// The new limit.
            limit: u64,
        },
        /// Make the process one of another user and group for good, without any capability.
        User {
            /// Id of the user and of the group, not 0.
            id: u32,
        },
        /// Read the bytes that the kernel has counted for the process; `ret` is the count.
        LockedVm {
            /// The line of `/proc/self/status` to read.
            counter: LockedVm,
        },
        /// Run a program of the initramfs to its end: `ret` is its exit code, or 128 plus the
        /// signal that ended it, and the last MiB of its output is in the outcome.
        Program {
            /// Path of the program.
            path: String,
            /// Arguments of the program, without its name.
            args: Vec<String>,
            /// It is killed after this time.
            limit: Limit,
        },
        /// For the harness' own tests: die, hang, panic the kernel.
        Fault {
            /// The fault to cause.
            fault: Fault,
        },
    }
}

constants!(Resource, LockedVm, Limit, Fault);

/// Time limit of a program in milliseconds, which is not lengthened on slower machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit(pub u64);

/// Limit of a process that a case can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Resource {
    /// `RLIMIT_MEMLOCK`, in bytes.
    Memlock,
    /// `RLIMIT_NOFILE`, one more than the highest descriptor.
    Nofile,
}

/// What the kernel counts for a process, as a line of `/proc/self/status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockedVm {
    /// Memory that is pinned.
    VmPin,
    /// Memory that is locked.
    VmLck,
}

impl LockedVm {
    /// Name of the line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::VmPin => "VmPin",
            Self::VmLck => "VmLck",
        }
    }
}

/// Deliberate faults, for the tests of the harness itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// No fault: the case continues.
    None,
    /// Crash the kernel through sysrq.
    PanicKernel,
    /// Sleep for ever, so that the deadline of the case passes.
    Hang,
    /// Take the processor for ever, so that the agent does not answer.
    Starve,
    /// Kill the agent.
    KillAgent,
    /// Put a kernel warning into the log.
    Warn,
    /// Kill the case's own process, as the kernel does after an Oops.
    Die,
    /// Send bytes that are not a frame.
    Garbage,
    /// Lock a page of the process in memory and leave it locked.
    LockMemory,
}
