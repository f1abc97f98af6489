//! Processes, their rights and limits.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, NewFd, Returned, Timeout, Value,
    operand::{constants, ops},
};

ops! {
    /// Processes, their rights and limits.
    pub enum ProcessOp {
        /// `fork(2)`: a process with a copy of everything, which waits for ops.
        Fork {
            /// Its name.
            process: String,
        },
        /// Let a forked process end, and wait for its end; `ret` is its exit status.
        Exit {
            /// Which.
            process: String,
        },
        /// `userfaultfd(2)`: whoever touches the memory first, the kernel too, waits there.
        UffdBlock {
            /// Start of the memory; nothing of it has been touched.
            at: Value,
            /// Bytes.
            length: u64,
            /// Receives the descriptor.
            save: NewFd,
        },
        /// Wait until a forked process waits at such memory.
        WaitFault {
            /// Which.
            process: String,
            /// The descriptor, in that process.
            uffd: Fd,
            /// Deadline.
            timeout: Timeout,
            /// Receives the address that it touched.
            save: Returned,
        },
        /// Let a forked process go on that waits at such memory.
        UffdResume {
            /// Which.
            process: String,
            /// The descriptor, in that process.
            uffd: Fd,
            /// The address that it touched.
            at: Value,
        },
        /// Wait until a forked process sleeps in the kernel where only the kernel can wake it.
        WaitBlocked {
            /// Which.
            process: String,
            /// Deadline.
            timeout: Timeout,
        },
        /// Raise or drop one capability in the effective set of the process; the permitted set
        /// stays, so that it can come back.
        Capability {
            /// `CAP_*`.
            number: u8,
            /// Whether the process has it from now on.
            effective: bool,
        },
        /// `setrlimit(2)` of the soft limit.
        Rlimit {
            /// Which.
            resource: Resource,
            /// The new limit.
            limit: u64,
        },
        /// What the kernel has counted for the process, in bytes, as `ret`.
        LockedVm {
            /// Which count.
            counter: LockedVm,
        },
        /// Run a program of the initramfs to its end: `ret` is its exit code, or 128 and the
        /// signal that ended it, and the last MiB of what it said is in the outcome.
        Program {
            /// Which file.
            path: String,
            /// Its arguments.
            args: Vec<String>,
            /// It is killed after this time.
            limit: Limit,
        },
        /// For the harness' own tests: die, hang, panic the kernel.
        Fault {
            /// What.
            fault: Fault,
        },
    }
}

constants!(Resource, LockedVm, Limit, Fault);

/// How long a program may run, in milliseconds: whoever asks for it knows the machine.
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
    /// None: the case goes on.
    None,
    /// Crash the kernel through sysrq.
    PanicKernel,
    /// Never return.
    Hang,
    /// Kill the agent.
    KillAgent,
    /// Put a kernel warning into the log.
    Warn,
    /// Kill the case's own process, as the kernel does after an Oops.
    Die,
    /// Send bytes that are no frame.
    Garbage,
    /// Lock a page of the process in memory and leave it so.
    LockMemory,
}
