//! One step: its key says what it does.

use crate::{
    At,
    build::Builder,
    expect::WantEnd,
    node::Node,
    problem::Problem,
    steps::{
        data, dma, driver, event, fail_nth, file, ioctl, machine, memfd, memory, open, pci,
        process, registers::Registers, repeat, rights, together,
    },
};

/// One step of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands.
    pub at: At,
    /// What it does, for a reader.
    pub label: String,
    /// What a kernel that conforms to the plan would answer instead.
    pub plan: Option<WantEnd>,
    action: Action,
}

#[derive(Debug, Clone, PartialEq)]
enum Action {
    Ioctl(Box<ioctl::Ioctl>),
    Open(open::Open),
    Close(open::Close),
    Eventfd(open::Eventfd),
    Wait(open::Wait),
    Memory(memory::Memory),
    Mmap(memory::Mmap),
    Munmap(memory::Munmap),
    Load(memory::Load),
    Store(memory::Store),
    Touch(memory::Touch),
    Peek(memory::Peek),
    Pread(data::Pread),
    Pwrite(data::Pwrite),
    Read(data::ReadInto),
    Write(data::WriteFrom),
    ReadFile(file::ReadFile),
    WriteFile(file::WriteFile),
    Random(file::Random),
    Driver(driver::Driver),
    GroupType(driver::GroupType),
    Dma(dma::Dma),
    Phys(dma::Phys),
    Events(event::Events),
    Signal(event::Signal),
    PciCapability(pci::Capability),
    ResetMethod(pci::ResetMethod),
    VirtualFunctions(pci::VirtualFunctions),
    ModuleParameter(pci::ModuleParameter),
    Unplug(machine::Unplug),
    Gone(machine::Gone),
    Plug(machine::Plug),
    Memfd(memfd::Memfd),
    Udmabuf(memfd::Udmabuf),
    Capability(rights::Capability),
    Rlimit(rights::Rlimit),
    Accounted(rights::Accounted),
    Fork(process::Fork),
    In(process::In),
    Exit(process::Exit),
    Start(process::Start),
    Finish(process::Finish),
    Hold(process::Hold),
    Held(process::Gate),
    Blocked(process::Blocked),
    Release(process::Gate),
    Repeat(repeat::Repeat),
    AwaitFile(file::AwaitFile),
    Fault(file::Fault),
    FailNth(Box<fail_nth::FailNth>),
    Together(together::Together),
}

/// The keys of the steps that are no ioctls, with what they do.
pub const KEYS: &[(&str, &str)] = &[
    ("open", "open devices, group nodes or files under names"),
    ("close", "close them"),
    ("eventfd", "create an eventfd"),
    ("wait", "wait until a descriptor is readable"),
    (
        "memory",
        "map memory of the process, page by page, with contents",
    ),
    ("mmap", "map a region of a device"),
    ("munmap", "unmap memory or a region"),
    (
        "load",
        "one load from memory or a region; a signal is an outcome",
    ),
    ("store", "one store; a signal is an outcome"),
    (
        "touch",
        "one load, which tells whether the page was there or had to be put back",
    ),
    ("peek", "look at memory of the process"),
    ("pread", "read from a device at an offset"),
    ("pwrite", "write to a device at an offset"),
    ("read", "read events into memory of the process"),
    ("write", "write memory of the process to a descriptor"),
    ("read_file", "read a file of sysfs or procfs"),
    ("write_file", "write one value to a file of sysfs or procfs"),
    (
        "random",
        "read random bytes through the native driver: its DMA works",
    ),
    ("driver", "give a device to a kernel driver, or to none"),
    ("group_type", "change the type of a group's default domain"),
    (
        "dma",
        "let a device write a page by DMA, and see where it lands",
    ),
    ("phys", "physical address of a page of the process"),
    (
        "events",
        "wait for an eventfd and take its count; none is to come where it is 0",
    ),
    ("signal", "add 1 to an eventfd"),
    (
        "pci_capability",
        "find a capability in a device's configuration space",
    ),
    (
        "reset_method",
        "how the kernel may reset a device; between cases it may not",
    ),
    (
        "virtual_functions",
        "create the virtual functions of a device",
    ),
    (
        "module_parameter",
        "give a device to vfio-pci anew, with a parameter of the module",
    ),
    (
        "unplug",
        "ask the guest to let a device go; it is back after the case",
    ),
    ("gone", "wait until an unplugged device is gone"),
    ("plug", "plug an unplugged device in again"),
    ("memfd", "create files that are memory"),
    ("udmabuf", "make a dma-buf of part of a memfd"),
    (
        "capability",
        "drop or regain capabilities for the rest of the case",
    ),
    ("rlimit", "set soft limits for the rest of the case"),
    (
        "accounted",
        "what the kernel has counted for the process, in bytes",
    ),
    ("fork", "fork a process that waits for steps"),
    ("in", "let a forked process execute steps"),
    ("exit", "let a forked process end"),
    ("start", "let a forked process begin a call"),
    ("finish", "wait for what a forked process has begun"),
    ("hold", "make memory hold whoever touches it first"),
    ("held", "wait until a forked process is held by memory"),
    (
        "blocked",
        "wait until a forked process sleeps in the kernel",
    ),
    ("release", "let a forked process go that is held"),
    ("repeat", "execute a step many times in a row"),
    (
        "await_file",
        "wait until a file of sysfs or procfs says something",
    ),
    ("fault", "break the guest, to test the harness"),
    (
        "fail_nth",
        "a step with its 1st, 2nd, ... possible failure injected, until none is left",
    ),
    ("together", "steps at once, each in a thread of its own"),
];

impl Step {
    /// Reads one step.
    ///
    /// # Errors
    /// With the place of the first thing that is wrong.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let (name, body) = node.single()?;
        let key = name.text.as_str();
        if key
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
        {
            let ioctl = ioctl::Ioctl::read(name, body)?;
            let label = ioctl.label();
            let plan = ioctl.plan.clone();
            return Ok(Self {
                at: name.at,
                label,
                plan,
                action: Action::Ioctl(Box::new(ioctl)),
            });
        }
        let (label, action) = Self::read_action(key, body).ok_or_else(|| {
            let known = KEYS.iter().map(|(key, _)| *key);
            Problem::unknown_name(name.at, "step", key, known)
        })??;
        Ok(Self {
            at: name.at,
            label,
            plan: None,
            action,
        })
    }

    /// None when there is no such step.
    fn read_action(key: &str, body: &Node) -> Option<Result<(String, Action), Problem>> {
        macro_rules! action {
            ($variant:ident, $type:ty) => {
                <$type>::read(body).map(|it| (it.label(), Action::$variant(it)))
            };
        }
        Some(match key {
            "open" => action!(Open, open::Open),
            "close" => action!(Close, open::Close),
            "eventfd" => action!(Eventfd, open::Eventfd),
            "wait" => action!(Wait, open::Wait),
            "memory" => action!(Memory, memory::Memory),
            "mmap" => action!(Mmap, memory::Mmap),
            "munmap" => action!(Munmap, memory::Munmap),
            "load" => action!(Load, memory::Load),
            "store" => action!(Store, memory::Store),
            "touch" => action!(Touch, memory::Touch),
            "peek" => action!(Peek, memory::Peek),
            "pread" => action!(Pread, data::Pread),
            "pwrite" => action!(Pwrite, data::Pwrite),
            "read" => action!(Read, data::ReadInto),
            "write" => action!(Write, data::WriteFrom),
            "read_file" => action!(ReadFile, file::ReadFile),
            "write_file" => action!(WriteFile, file::WriteFile),
            "random" => action!(Random, file::Random),
            "driver" => action!(Driver, driver::Driver),
            "group_type" => action!(GroupType, driver::GroupType),
            "dma" => action!(Dma, dma::Dma),
            "phys" => action!(Phys, dma::Phys),
            "events" => action!(Events, event::Events),
            "signal" => action!(Signal, event::Signal),
            "pci_capability" => action!(PciCapability, pci::Capability),
            "reset_method" => action!(ResetMethod, pci::ResetMethod),
            "virtual_functions" => action!(VirtualFunctions, pci::VirtualFunctions),
            "module_parameter" => action!(ModuleParameter, pci::ModuleParameter),
            "unplug" => action!(Unplug, machine::Unplug),
            "gone" => action!(Gone, machine::Gone),
            "plug" => action!(Plug, machine::Plug),
            "memfd" => action!(Memfd, memfd::Memfd),
            "udmabuf" => action!(Udmabuf, memfd::Udmabuf),
            "capability" => action!(Capability, rights::Capability),
            "rlimit" => action!(Rlimit, rights::Rlimit),
            "accounted" => action!(Accounted, rights::Accounted),
            "fork" => action!(Fork, process::Fork),
            "in" => action!(In, process::In),
            "exit" => action!(Exit, process::Exit),
            "start" => action!(Start, process::Start),
            "finish" => action!(Finish, process::Finish),
            "hold" => action!(Hold, process::Hold),
            "held" => action!(Held, process::Gate),
            "blocked" => action!(Blocked, process::Blocked),
            "release" => action!(Release, process::Gate),
            "repeat" => action!(Repeat, repeat::Repeat),
            "await_file" => action!(AwaitFile, file::AwaitFile),
            "fault" => action!(Fault, file::Fault),
            "together" => action!(Together, together::Together),
            "fail_nth" => {
                fail_nth::FailNth::read(body).map(|it| (it.label(), Action::FailNth(Box::new(it))))
            }
            _ => return None,
        })
    }

    /// Adds the step's ops and checks.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        to.begin(index, self.label.clone(), self.at, self.plan.clone());
        match &self.action {
            Action::Ioctl(it) => it.compile(to),
            Action::Open(it) => it.compile(to),
            Action::Close(it) => it.compile(to),
            Action::Eventfd(it) => it.compile(to),
            Action::Wait(it) => it.compile(to),
            Action::Memory(it) => it.compile(to),
            Action::Mmap(it) => it.compile(to),
            Action::Munmap(it) => it.compile(to),
            Action::Load(it) => it.compile(to),
            Action::Store(it) => it.compile(to),
            Action::Touch(it) => it.compile(to),
            Action::Peek(it) => it.compile(to),
            Action::Pread(it) => it.compile(to),
            Action::Pwrite(it) => it.compile(to),
            Action::Read(it) => it.compile(to),
            Action::Write(it) => it.compile(to),
            Action::ReadFile(it) => it.compile(to),
            Action::WriteFile(it) => it.compile(to),
            Action::Random(it) => it.compile(to),
            Action::Driver(it) => it.compile(to),
            Action::GroupType(it) => it.compile(to),
            Action::Dma(it) => it.compile(to),
            Action::Phys(it) => it.compile(to),
            Action::Events(it) => it.compile(to),
            Action::Signal(it) => it.compile(to),
            Action::PciCapability(it) => it.compile(to),
            Action::ResetMethod(it) => it.compile(to),
            Action::VirtualFunctions(it) => it.compile(to),
            Action::ModuleParameter(it) => it.compile(to),
            Action::Unplug(it) => it.compile(to),
            Action::Gone(it) => it.compile(to),
            Action::Plug(it) => it.compile(to),
            Action::Memfd(it) => it.compile(to),
            Action::Udmabuf(it) => it.compile(to),
            Action::Capability(it) => it.compile(to),
            Action::Rlimit(it) => it.compile(to),
            Action::Accounted(it) => it.compile(to),
            Action::Fork(it) => it.compile(to),
            Action::In(it) => it.compile(index, to),
            Action::Exit(it) => it.compile(to),
            Action::Start(it) => it.compile(index, to),
            Action::Finish(it) => it.compile(to),
            Action::Hold(it) => it.compile(to),
            Action::Held(it) => it.compile_held(to),
            Action::Blocked(it) => it.compile(to),
            Action::Release(it) => it.compile_release(to),
            Action::Repeat(it) => it.compile(index, to),
            Action::AwaitFile(it) => it.compile(to),
            Action::Fault(it) => it.compile(to),
            Action::FailNth(it) => it.compile(index, to),
            Action::Together(it) => it.compile(index, to),
        }
    }

    /// Whether it makes one system call, into which failures can be injected.
    #[must_use]
    pub fn is_one_call(&self) -> bool {
        match &self.action {
            Action::Open(it) => it.is_one(),
            Action::Ioctl(_)
            | Action::Mmap(_)
            | Action::Read(_)
            | Action::Write(_)
            | Action::WriteFile(_) => true,
            _ => false,
        }
    }

    /// Itself, and before it the steps that it has another process make.
    #[must_use]
    pub fn flattened(&self) -> Vec<&Self> {
        let inner = match &self.action {
            Action::In(it) => it.steps(),
            Action::Together(it) => it.determined(),
            _ => &[],
        };
        let inner = inner.iter().flat_map(Self::flattened);
        inner.chain([self]).collect()
    }

    /// Itself and every step that it makes, in order.
    #[must_use]
    pub fn all(&self) -> Vec<&Self> {
        let inner: Vec<&Self> = match &self.action {
            Action::In(it) => it.steps().iter().collect(),
            Action::Together(it) => it.steps().iter().collect(),
            Action::Repeat(it) => vec![it.step()],
            Action::FailNth(it) => it.all_steps(),
            _ => Vec::new(),
        };
        let inner = inner.into_iter().flat_map(Self::all);
        std::iter::once(self).chain(inner).collect()
    }

    /// What it has to do with registers of a device.
    #[must_use]
    pub fn registers(&self) -> Registers<'_> {
        match &self.action {
            Action::Mmap(it) => it.registers(),
            Action::Load(it) => it.registers(),
            Action::Store(it) => it.registers(),
            Action::Peek(it) => it.registers(),
            _ => Registers::Untouched,
        }
    }

    /// The ioctl it makes.
    #[must_use]
    pub fn ioctl(&self) -> Option<&ioctl::Ioctl> {
        match &self.action {
            Action::Ioctl(ioctl) => Some(ioctl),
            Action::FailNth(it) => it.step().ioctl(),
            _ => None,
        }
    }

    /// The errno that each injected failure gives, where that is a single one.
    #[must_use]
    pub fn injected(&self) -> Option<i32> {
        match &self.action {
            Action::FailNth(it) => it.single_errno(),
            _ => None,
        }
    }

    /// An ioctl is to end like this; the other steps say it in their own words.
    pub fn want(&mut self, end: WantEnd) {
        if let Action::Ioctl(ioctl) = &mut self.action {
            ioctl.want(end);
        }
    }

    /// Whether it makes a default domain an identity domain.
    #[must_use]
    pub fn uses_identity(&self) -> bool {
        match &self.action {
            Action::GroupType(it) => it.is_identity(),
            Action::In(it) => it.uses_identity(),
            Action::Repeat(it) => it.step().uses_identity(),
            _ => false,
        }
    }

    /// Whether it is an ioctl.
    #[must_use]
    pub fn is_ioctl(&self) -> bool {
        matches!(self.action, Action::Ioctl(_))
    }

    /// The process that begins a call here.
    #[must_use]
    pub fn begins(&self) -> Option<&str> {
        match &self.action {
            Action::Start(it) => Some(it.process()),
            _ => None,
        }
    }

    /// The process whose call is waited for here.
    #[must_use]
    pub fn finishes(&self) -> Option<&str> {
        match &self.action {
            Action::Finish(it) => Some(it.process()),
            _ => None,
        }
    }

    /// Whether it can fail for a reason that lies in the kernel under test.
    #[must_use]
    pub fn asserts(&self) -> bool {
        match &self.action {
            Action::Memory(_)
            | Action::Fault(_)
            | Action::Phys(_)
            | Action::Eventfd(_)
            | Action::Signal(_)
            | Action::ResetMethod(_)
            | Action::Memfd(_)
            | Action::Capability(_)
            | Action::Rlimit(_)
            | Action::Fork(_)
            | Action::Exit(_)
            | Action::Start(_)
            | Action::Hold(_)
            | Action::Held(_)
            | Action::Blocked(_)
            | Action::Release(_) => false,
            Action::In(it) => it.asserts(),
            Action::Repeat(it) => it.step().asserts(),
            _ => true,
        }
    }
}

/// Reads `errno: NAME`; without it the step has to succeed.
///
/// # Errors
/// When there is no such errno.
pub fn read_errno(fields: &mut crate::fields::Fields<'_>) -> Result<WantEnd, Problem> {
    match fields.take("errno") {
        None => Ok(WantEnd::Success),
        Some(node) => read_end(node),
    }
}

/// Reads the name of an errno, or `none` for success.
///
/// # Errors
/// When there is no such errno.
pub fn read_end(node: &Node) -> Result<WantEnd, Problem> {
    match node.text()? {
        "none" => Ok(WantEnd::Success),
        _ => crate::value::errno(node).map(WantEnd::Errno),
    }
}
