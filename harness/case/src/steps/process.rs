//! Processes: rights, limits, and memory that blocks them.

use wire::{
    Fault as WireFault, LockedVm as Counter, NewFd, ProcessOp, Resource, Returned, Timeout, Value,
};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    input::{Input, KeyWord, OfProcess, PerWord, SlotName, Word, body, newtype, words},
    node::{At, Node},
    problem::Problem,
    spec::Spec,
    steps::Action,
};

words!(Cap, Resource, Counter, WireFault);

newtype! {
    /// `fork: child`
    ///
    /// The child has the memory and the descriptors that the case has at this point, and waits.
    pub struct Fork(SlotName);
    /// `exit: child`
    ///
    /// When the process has ended, its memory is freed.
    pub struct Exit(SlotName);
    /// `wait_blocked: child`
    ///
    /// Waits until the process sleeps in the call that it has begun: for example, it waits for a
    /// lock of a process that waits for a page. Where the call was left out, because only a kernel of
    /// the plan has it, there is nothing to wait for.
    pub struct WaitBlocked(SlotName);
    /// `interrupt: child`
    ///
    /// A wait in the kernel that signals may end, ends. The process has a handler for the signal and
    /// goes on.
    pub struct Interrupt(SlotName);
}

impl Action for Fork {
    fn label(&self) -> String {
        format!("fork {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let process = self.0.to_string();
        to.prepare(ProcessOp::Fork { process });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Action for Exit {
    fn label(&self) -> String {
        format!("exit of {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(0)));
        let process = self.0.to_string();
        to.push(ProcessOp::Exit { process }, expect, Layout::Nothing);
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

/// Timeout for a process to block.
const BLOCK_TIMEOUT: Timeout = Timeout(5000);

impl Action for WaitBlocked {
    fn label(&self) -> String {
        format!("{} is blocked", self.0.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let process = self.0.to_string();
        if to.has_nothing_begun(&process) {
            return Ok(());
        }
        let op = ProcessOp::WaitBlocked {
            process,
            timeout: BLOCK_TIMEOUT,
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Action for Interrupt {
    fn label(&self) -> String {
        format!("interrupt {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let process = self.0.to_string();
        to.prepare(ProcessOp::Interrupt { process });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

body! {
    /// `uffd_block: {memory: $page, length: 0x1000, save: gate}`
    ///
    /// The first access to a page of it, by a process or by the kernel, waits until another process
    /// resumes it.
    pub struct UffdBlock in "uffd_block" {
        /// Memory that has not been accessed yet.
        memory: Value,
        /// How many bytes.
        length: u64 = 0x1000,
        /// The name for the userfaultfd.
        save: SlotName,
    }
}

impl Action for UffdBlock {
    fn label(&self) -> String {
        format!("uffd_block {}", self.save)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(ProcessOp::UffdBlock {
            at: self.memory.clone(),
            length: self.length,
            save: NewFd(self.save.0.clone()),
        });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

newtype! {
    /// `wait_fault: {child: gate}`
    ///
    /// Waits until the process waits for a page of such memory.
    pub struct WaitFault(Gate);
}

newtype! {
    /// `uffd_resume: {child: gate}`
    ///
    /// Resumes a process that waits for a page of such memory.
    pub struct UffdResume(Gate);
}

/// A process, and the memory at which it waits.
type Gate = OfProcess<SlotName>;

fn touched(gate: &Gate) -> String {
    format!("{}_touched", gate.of)
}

impl Action for WaitFault {
    fn label(&self) -> String {
        format!("{} at {}", self.0.process, self.0.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        if to.has_nothing_begun(&self.0.process) {
            return Ok(());
        }
        let op = ProcessOp::WaitFault {
            process: self.0.process.clone(),
            uffd: self.0.of.fd(),
            timeout: BLOCK_TIMEOUT,
            save: Returned(touched(&self.0)),
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Action for UffdResume {
    fn label(&self) -> String {
        format!("{} at {}", self.0.process, self.0.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        if to.has_nothing_begun(&self.0.process) {
            return Ok(());
        }
        to.prepare(ProcessOp::UffdResume {
            process: self.0.process.clone(),
            uffd: self.0.of.fd(),
            at: Value::slot(touched(&self.0)),
        });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

/// Capabilities that iommufd and vfio check, by their numbers in `linux/capability.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(u8);

impl Word for Cap {
    const WHAT: &'static str = "capability";
    const ALL: &'static [(&'static str, Self)] = &[
        ("CAP_IPC_LOCK", Self(14)),
        ("CAP_SYS_RAWIO", Self(17)),
        ("CAP_SYS_ADMIN", Self(21)),
        ("CAP_SYS_RESOURCE", Self(24)),
    ];
}

body! {
    /// `capability: {drop: CAP_IPC_LOCK}`, `capability: {regain: [CAP_IPC_LOCK, CAP_SYS_ADMIN]}`
    ///
    /// Applies to the rest of the case, which has its own process.
    pub struct Capability in "capability" if Capability::check {
        /// Capabilities to drop.
        drop: Vec<Cap>,
        /// Capabilities to regain.
        regain: Vec<Cap>,
    }
}

impl Capability {
    fn check(&self, at: At) -> Result<(), Problem> {
        match self.changes().next() {
            Some(_) => Ok(()),
            None => Err(Problem::missing(at, "drop` or `regain", "capability")),
        }
    }

    fn changes(&self) -> impl Iterator<Item = (Cap, bool)> {
        let dropped = self.drop.iter().map(|cap| (*cap, false));
        dropped.chain(self.regain.iter().map(|cap| (*cap, true)))
    }
}

impl Action for Capability {
    fn label(&self) -> String {
        let changes = self.changes().map(|(cap, effective)| {
            let verb = if effective { "regain" } else { "drop" };
            format!("{verb} {}", cap.shown())
        });
        changes.collect::<Vec<_>>().join(", ")
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (cap, effective) in self.changes() {
            let number = cap.0;
            to.prepare(ProcessOp::Capability { number, effective });
        }
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Word for Resource {
    const WHAT: &'static str = "limit";
    const ALL: &'static [(&'static str, Self)] =
        &[("MEMLOCK", Self::Memlock), ("NOFILE", Self::Nofile)];
}

impl KeyWord for Resource {
    fn help(self) -> &'static str {
        match self {
            Self::Memlock => "Soft limit of locked memory, in bytes.",
            Self::Nofile => "Soft limit of descriptors: one more than the highest number.",
        }
    }
}

newtype! {
    /// `rlimit: {MEMLOCK: 0x1000}`
    ///
    /// Sets soft limits for the rest of the case.
    pub struct Rlimit(PerWord<Resource, u64>);
}

impl Action for Rlimit {
    fn label(&self) -> String {
        let limits = self.0.0.iter();
        let limits = limits.map(|(resource, limit)| format!("{resource:?} {limit:#x}"));
        format!("limit {}", limits.collect::<Vec<_>>().join(", "))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (resource, limit) in &self.0.0 {
            let (resource, limit) = (*resource, *limit);
            to.prepare(ProcessOp::Rlimit { resource, limit });
        }
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

newtype! {
    /// `user: 1000`
    ///
    /// The process becomes one of this user and group for good, and has no capability any more. Its
    /// descriptors stay.
    pub struct User(NonRoot);
}

/// Id of a user that is not root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NonRoot(u32);

impl Input for NonRoot {
    fn read(from: &Node) -> Result<Self, Problem> {
        match u32::read(from)? {
            0 => Err(Problem::other(
                from.at,
                "user 0 is root, who has every right; give another, such as 1000",
            )),
            id => Ok(Self(id)),
        }
    }

    fn spec() -> Spec {
        u32::spec()
    }
}

impl Action for User {
    fn label(&self) -> String {
        format!("user {}", self.0.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(ProcessOp::User { id: self.0.0 });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Word for Counter {
    const WHAT: &'static str = "account";
    const ALL: &'static [(&'static str, Self)] = &[("VmPin", Self::VmPin), ("VmLck", Self::VmLck)];
}

impl KeyWord for Counter {
    fn help(self) -> &'static str {
        match self {
            Self::VmPin => "Pinned memory in /proc/self/status, in bytes.",
            Self::VmLck => "Locked memory in /proc/self/status, in bytes.",
        }
    }
}

newtype! {
    /// `locked_vm: {VmPin: 0x1000, VmLck: 0}`
    ///
    /// Bytes that the kernel has counted for the process.
    pub struct LockedVm(PerWord<Counter, u64>);
}

impl Action for LockedVm {
    fn label(&self) -> String {
        let counters = self.0.0.iter();
        let counters = counters.map(|(counter, bytes)| format!("{} {bytes:#x}", counter.name()));
        format!("locked_vm: {}", counters.collect::<Vec<_>>().join(", "))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (counter, bytes) in &self.0.0 {
            let mut expect = Expect::SUCCESS;
            expect.returns = Some(Want::Is(Value::Const(*bytes)));
            let counter = *counter;
            to.push(ProcessOp::LockedVm { counter }, expect, Layout::Nothing);
        }
        Ok(())
    }
}

impl Word for WireFault {
    const WHAT: &'static str = "fault";
    const ALL: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("panic", Self::PanicKernel),
        ("hang", Self::Hang),
        ("starve", Self::Starve),
        ("kill_agent", Self::KillAgent),
        ("warn", Self::Warn),
        ("die", Self::Die),
        ("garbage", Self::Garbage),
        ("lock_memory", Self::LockMemory),
    ];
}

newtype! {
    /// `fault: panic`
    ///
    /// Only for the tests of the harness.
    pub struct Fault(WireFault);
}

impl Action for Fault {
    fn label(&self) -> String {
        format!("fault {:?}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let fault = self.0;
        to.push(ProcessOp::Fault { fault }, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}
