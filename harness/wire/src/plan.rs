//! A plan: the fully resolved form of one case.

use serde::{Deserialize, Serialize};

/// Name under which an op leaves a value for later ops.
pub type Slot = String;

/// One case, resolved for one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Case id, for the markers in the kernel log.
    pub name: String,
    /// Executed in order; a failed op does not stop the rest.
    pub ops: Vec<Op>,
    /// Executed by a second child after the first is gone, whatever became of it.
    pub restore: Vec<Op>,
    /// The child is killed after this time.
    pub timeout_ms: u64,
}

/// A 64-bit value that is known now or only in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Known now.
    Const(u64),
    /// What an earlier op saved, plus an offset (wrapping).
    Slot {
        /// Where it was saved.
        name: Slot,
        /// Added to it.
        add: u64,
    },
}

/// What to open or to write to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    /// A path.
    Path(String),
    /// `prefix` followed by the name of the only entry of `directory` that starts with
    /// `starts`: the number of a vfio cdev changes whenever a driver is bound.
    Entry {
        /// Directory to look into.
        directory: String,
        /// Beginning of the entry's name.
        starts: String,
        /// Put before the entry's name.
        prefix: String,
    },
    /// `prefix` followed by the last component of where a link points to: the number of a
    /// group that the case creates.
    Link {
        /// The link.
        link: String,
        /// Put before the name.
        prefix: String,
    },
    /// The file that a descriptor is of, through `/proc/self/fd`: the same inode, also when no
    /// directory has it any more.
    Descriptor(Value),
}

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenFlags {
    /// `O_RDWR`.
    ReadWrite,
    /// `O_RDONLY`.
    ReadOnly,
    /// `O_WRONLY`.
    WriteOnly,
}

/// Access rights of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Loads and stores.
    ReadWrite,
    /// Loads only.
    ReadOnly,
    /// Loads and stores, where stores do not reach the file: a private mapping.
    CopyOnWrite,
    /// Loads and execution.
    Execute,
}

/// Width of a single load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    /// One byte.
    W1,
    /// Two bytes.
    W2,
    /// Four bytes.
    W4,
    /// Eight bytes.
    W8,
}

impl Width {
    /// Width in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::W1 => 1,
            Self::W2 => 2,
            Self::W4 => 4,
            Self::W8 => 8,
        }
    }

    /// The width of so many bytes.
    #[must_use]
    pub const fn of(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::W1),
            2 => Some(Self::W2),
            4 => Some(Self::W4),
            8 => Some(Self::W8),
            _ => None,
        }
    }
}

/// Puts a value into an ioctl's argument just before the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Byte offset in the argument.
    pub offset: usize,
    /// How many bytes.
    pub width: Width,
    /// What.
    pub value: Value,
}

/// Takes a value out of an ioctl's argument after a successful call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Save {
    /// Byte offset in the argument.
    pub offset: usize,
    /// How many bytes.
    pub width: Width,
    /// Under which name.
    pub slot: Slot,
}

/// Third argument of an ioctl.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arg {
    /// As it is: an integer, no argument, or a bad pointer.
    Value(Value),
    /// Pointer to a buffer whose end is the end of a mapping: a kernel that reads or
    /// writes further meets EFAULT instead of silence.
    Buffer {
        /// Initial contents.
        bytes: Vec<u8>,
        /// Values only the guest knows.
        patches: Vec<Patch>,
        /// Map the buffer without write permission: copy-out faults.
        read_only: bool,
    },
}

/// Kind of memory for user pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// Private anonymous memory.
    Anonymous,
    /// Shared anonymous memory.
    Shared,
    /// Private anonymous memory without write permission.
    ReadOnly,
    /// Address space without any access.
    NoAccess,
    /// Private anonymous memory in huge pages of the pool that the agent reserves at boot.
    Huge,
}

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
pub enum Account {
    /// Memory that is pinned.
    VmPin,
    /// Memory that is locked.
    VmLck,
}

impl Account {
    /// Name of the line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::VmPin => "VmPin",
            Self::VmLck => "VmLck",
        }
    }
}

/// Which device model does the DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Engine {
    /// QEMU `nvme` with a controller memory buffer: Identify into the target page.
    Nvme,
}

/// One primitive that the agent can execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// `open(2)`.
    Open {
        /// What.
        at: Location,
        /// How.
        flags: OpenFlags,
        /// Receives the descriptor.
        save: Slot,
    },
    /// `close(2)`.
    Close {
        /// Which descriptor.
        fd: Value,
    },
    /// `ioctl(2)`; the outcome carries the argument buffer after the call.
    Ioctl {
        /// On which descriptor.
        fd: Value,
        /// Request number.
        request: u32,
        /// Third argument.
        arg: Arg,
        /// Values to take out of the buffer on success.
        save: Vec<Save>,
        /// Receives the return value on success.
        save_ret: Option<Slot>,
    },
    /// Reserve and map memory of the process.
    Alloc {
        /// Kind.
        memory: Memory,
        /// Bytes, rounded up to pages.
        length: u64,
        /// Every byte of it.
        fill: u8,
        /// Receives the address.
        save: Slot,
    },
    /// `mmap(2)` of a descriptor.
    Mmap {
        /// Which descriptor.
        fd: Value,
        /// File offset.
        offset: Value,
        /// Bytes.
        length: u64,
        /// Access rights.
        access: Access,
        /// Receives the address.
        save: Slot,
    },
    /// `munmap(2)`.
    Munmap {
        /// Start.
        at: Value,
        /// Bytes.
        length: u64,
    },
    /// Run a program of the initramfs to its end: `ret` is its exit code, or 128 and the signal
    /// that ended it, and the last MiB of what it said is in the outcome.
    Program {
        /// Which file.
        path: String,
        /// Its arguments.
        args: Vec<String>,
        /// It is killed after this time.
        timeout_ms: u64,
    },
    /// One load; a fault is an outcome.
    Load {
        /// Address.
        at: Value,
        /// Width.
        width: Width,
    },
    /// One store; a fault is an outcome.
    Store {
        /// Address.
        at: Value,
        /// Width.
        width: Width,
        /// What.
        value: Value,
    },
    /// One load of four bytes; `ret` is how many times the kernel had to fill the page table for
    /// it. A fault that it cannot fill is an outcome.
    Touch {
        /// Address.
        at: Value,
    },
    /// Read memory of the process; bytes are in the outcome.
    Peek {
        /// Address.
        at: Value,
        /// Bytes.
        length: u64,
        /// Values to take out of the bytes.
        save: Vec<Save>,
    },
    /// `read(2)` into memory of the process, as the case gives it: also where there is none.
    Read {
        /// Which descriptor.
        fd: Value,
        /// Address of the buffer.
        into: Value,
        /// Bytes.
        length: u64,
    },
    /// `write(2)` of memory of the process.
    Write {
        /// Which descriptor.
        fd: Value,
        /// Address of the bytes.
        from: Value,
        /// Bytes.
        length: u64,
    },
    /// `pread(2)`; bytes are in the outcome.
    Pread {
        /// Which descriptor.
        fd: Value,
        /// File offset.
        offset: Value,
        /// Bytes.
        length: u64,
        /// Receives the first bytes, up to eight, as a little-endian number.
        save: Option<Slot>,
    },
    /// `pwrite(2)`.
    Pwrite {
        /// Which descriptor.
        fd: Value,
        /// File offset.
        offset: Value,
        /// What.
        bytes: Vec<u8>,
        /// Values only the guest knows.
        patches: Vec<Patch>,
    },
    /// `pread(2)` or `pwrite(2)` with an address of the plan's own choice for its buffer.
    Transfer {
        /// Which descriptor.
        fd: Value,
        /// Which of the two.
        write: bool,
        /// File offset.
        offset: Value,
        /// Bytes.
        length: u64,
        /// The buffer.
        at: Value,
    },
    /// Walk the capabilities of a vfio-pci device's configuration space to the first with
    /// this id; `ret` is its offset, ENOENT is its absence.
    PciCapability {
        /// Which device descriptor.
        fd: Value,
        /// The id.
        id: u16,
        /// Which of the two chains.
        chain: Chain,
        /// Receives the offset in configuration space.
        save: Slot,
    },
    /// Open, read at most a page, close; text is in the outcome.
    ReadFile {
        /// Which file.
        at: Location,
    },
    /// Open, write once, close.
    WriteFile {
        /// Which file.
        at: Location,
        /// What.
        text: String,
    },
    /// Take a PCI device from its driver and give it to another one (or to none).
    Driver {
        /// PCI address.
        device: String,
        /// Driver name; none leaves it driverless.
        driver: Option<String>,
    },
    /// Physical address of a page of the process.
    Phys {
        /// Virtual address.
        at: Value,
        /// Receives the physical address.
        save: Slot,
    },
    /// Let a device write one page by DMA. The device is driven through its sysfs
    /// resource files, so that the probe depends on nothing that vfio grants.
    Dma {
        /// PCI address.
        device: String,
        /// How it is driven.
        engine: Engine,
        /// Where it writes.
        iova: Value,
        /// Page of this process in which the result is looked for.
        watch: Value,
    },
    /// Read bytes from a character device with a deadline.
    ReadDevice {
        /// Which file.
        path: String,
        /// Bytes.
        length: u64,
        /// Deadline.
        timeout_ms: u64,
    },
    /// `eventfd(2)`.
    Eventfd {
        /// Receives the descriptor.
        save: Slot,
    },
    /// Wait until a descriptor is readable; `ret` is 1 when it was, 0 at the deadline.
    Wait {
        /// Which descriptor.
        fd: Value,
        /// Deadline.
        timeout_ms: u64,
    },
    /// Wait until an eventfd was signalled and take what it counted; `ret` is the count, 0 at
    /// the deadline.
    Events {
        /// Which eventfd.
        fd: Value,
        /// Deadline.
        timeout_ms: u64,
    },
    /// Add 1 to an eventfd.
    Signal {
        /// Which eventfd.
        fd: Value,
    },
    /// Something that only the host can do to the machine; the plan waits for it.
    Host(HostAction),
    /// Wait until a device that was plugged in is ready, and give it to a driver.
    Arrive {
        /// PCI address.
        device: String,
        /// Driver name; none leaves it driverless.
        driver: Option<String>,
        /// Deadline.
        timeout_ms: u64,
    },
    /// Wait until a path is there, or gone; ETIMEDOUT at the deadline.
    Await {
        /// Which path.
        path: String,
        /// There, or gone.
        there: bool,
        /// Deadline.
        timeout_ms: u64,
    },
    /// `memfd_create(2)`, a size, contents, seals.
    Memfd {
        /// Bytes.
        size: u64,
        /// Every byte of it; none leaves the file one hole.
        fill: Option<u8>,
        /// `F_SEAL_*` bits.
        seals: u32,
        /// Made of huge pages.
        huge: bool,
        /// Receives the descriptor.
        save: Slot,
    },
    /// A dma-buf made of part of a memfd, by `/dev/udmabuf`.
    Udmabuf {
        /// The memfd; it has to be sealed against shrinking.
        file: Value,
        /// Start in the file.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Receives the descriptor.
        save: Slot,
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
    Limit {
        /// Which.
        resource: Resource,
        /// The new limit.
        limit: u64,
    },
    /// What the kernel has counted for the process, in bytes, as `ret`.
    Account(Account),
    /// `fork(2)`: a process with a copy of everything, which waits for ops.
    Fork {
        /// Its name.
        process: String,
    },
    /// Let a forked process execute an op. The outcome is the op's; what the op saves has
    /// its name in all processes.
    In {
        /// Which.
        process: String,
        /// What.
        op: Box<Op>,
    },
    /// Let a forked process begin an op; nobody waits for it.
    Start {
        /// Which.
        process: String,
        /// What.
        op: Box<Op>,
    },
    /// Wait for an op that was started. The outcome is the op's.
    Finish {
        /// Which process.
        process: String,
        /// What was started.
        op: Box<Op>,
    },
    /// `userfaultfd(2)`: whoever touches the memory first, the kernel too, waits there.
    Hold {
        /// Start of the memory; nothing of it has been touched.
        at: Value,
        /// Bytes.
        length: u64,
        /// Receives the descriptor.
        save: Slot,
    },
    /// Wait until a forked process is held.
    Held {
        /// Which.
        process: String,
        /// The descriptor, in that process.
        hold: Value,
        /// Deadline.
        timeout_ms: u64,
        /// Receives the address that it touched.
        save: Slot,
    },
    /// Wait until a forked process sleeps in the kernel where only the kernel can wake it.
    Blocked {
        /// Which.
        process: String,
        /// Deadline.
        timeout_ms: u64,
    },
    /// Let a forked process go that is held.
    Release {
        /// Which.
        process: String,
        /// The descriptor, in that process.
        hold: Value,
        /// The address that it touched.
        at: Value,
    },
    /// Let a forked process end, and wait for its end; `ret` is its exit status.
    Exit {
        /// Which.
        process: String,
    },
    /// Execute an op again and again, until it fails or was executed so many times. The
    /// outcome is that of the last one.
    Repeat {
        /// How many times.
        times: u64,
        /// Receives 0 before the first one, 1 before the second, and so on.
        counter: Slot,
        /// What.
        op: Box<Op>,
    },
    /// Read a file until its text, without white space at its ends, is this one. The text
    /// is in the outcome, also when the deadline passed before.
    AwaitFile {
        /// Which file.
        at: Location,
        /// The text to wait for.
        text: String,
        /// Deadline.
        timeout_ms: u64,
    },
    /// For the harness' own tests: die, hang, panic the kernel.
    Fault(Fault),
    /// Execute an op until no failure is left to inject into it.
    FailNth(Box<FailNth>),
    /// Execute ops at once, each in a thread of its own: they share descriptors and memory,
    /// and begin together. What an op saves has its name once all have ended.
    Together(Vec<Op>),
}

/// Executes `op` with its first possible failure injected, with its second one, and so on,
/// and at last with none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailNth {
    /// An op that makes one system call.
    pub op: Op,
    /// Executed after each time that it failed.
    pub failed: Vec<Op>,
    /// The same where it was a copy that failed: the last one comes after all has been done.
    pub failed_copy: Vec<Op>,
    /// Executed after each time that it succeeded in spite of a failure within.
    pub survived: Vec<Op>,
    /// How many failures it may have.
    pub limit: u32,
}

impl Plan {
    /// The same plan for a machine that is slower: the deadline of the whole is so many times as
    /// long, and each of its ops waits so many times as long. What is to stay away is waited for as
    /// much longer as what is to come.
    #[must_use]
    pub fn with_patience(mut self, whole: u64, op: u64) -> Self {
        self.timeout_ms = self.timeout_ms.saturating_mul(whole);
        for it in self.ops.iter_mut().chain(&mut self.restore) {
            it.lengthen(op);
        }
        self
    }
}

impl Op {
    fn lengthen(&mut self, factor: u64) {
        match self {
            Self::ReadDevice { timeout_ms, .. }
            | Self::Wait { timeout_ms, .. }
            | Self::Events { timeout_ms, .. }
            | Self::Arrive { timeout_ms, .. }
            | Self::Await { timeout_ms, .. }
            | Self::Held { timeout_ms, .. }
            | Self::Blocked { timeout_ms, .. }
            | Self::AwaitFile { timeout_ms, .. } => {
                *timeout_ms = timeout_ms.saturating_mul(factor);
            }
            Self::In { op, .. }
            | Self::Start { op, .. }
            | Self::Finish { op, .. }
            | Self::Repeat { op, .. } => op.lengthen(factor),
            Self::Together(ops) => ops.iter_mut().for_each(|op| op.lengthen(factor)),
            Self::FailNth(it) => {
                it.op.lengthen(factor);
                let between = it.failed.iter_mut().chain(&mut it.failed_copy);
                let between = between.chain(&mut it.survived);
                between.for_each(|op| op.lengthen(factor));
            }
            _ => {}
        }
    }

    /// What is executed, in whichever process and however often.
    #[must_use]
    pub fn innermost(&self) -> &Self {
        match self {
            Self::In { op, .. } | Self::Finish { op, .. } | Self::Repeat { op, .. } => {
                op.innermost()
            }
            op => op,
        }
    }
}

/// What the host can do to a device of the machine, which it knows by a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAction {
    /// Ask the guest to let go of it. It goes when the guest does.
    Unplug(String),
    /// Wait until it is gone and plug it in again; nothing, if it was never unplugged.
    Plug(String),
}

/// The two chains of capabilities in configuration space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chain {
    /// That of conventional PCI, from `PCI_CAPABILITY_LIST`.
    Standard,
    /// That of PCI Express, from byte 256.
    Extended,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn events(timeout_ms: u64) -> Op {
        let fd = Value::Const(0);
        Op::Events { fd, timeout_ms }
    }

    fn plan(whole: u64, op: u64) -> Plan {
        let within = |op| Op::In {
            process: "child".to_owned(),
            op: Box::new(op),
        };
        let fail_nth = FailNth {
            op: Op::Munmap {
                at: Value::Const(0),
                length: 1,
            },
            failed: vec![events(op)],
            failed_copy: vec![within(events(op))],
            survived: vec![events(op)],
            limit: 1,
        };
        Plan {
            name: "x".to_owned(),
            ops: vec![
                events(op),
                Op::Together(vec![events(op), within(events(op))]),
                Op::FailNth(Box::new(fail_nth)),
            ],
            restore: vec![events(op)],
            timeout_ms: whole,
        }
    }

    #[test]
    fn every_deadline_is_lengthened_wherever_it_is() {
        assert_eq!(plan(1000, 5).with_patience(30, 10), plan(30_000, 50));
    }
}
