//! The table of steps: the one place where a step gets its key. Parsing, the schema, the
//! reference and "did you mean" come from it.

use crate::{
    input::Input,
    node::Node,
    problem::Problem,
    spec::Spec,
    steps::{Action, control, dma, event, file, ioctl, memory, pci, process},
};

/// What is known of a kind of step.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Its key.
    pub key: &'static str,
    /// One line about it.
    pub help: &'static str,
    /// The family that it belongs to: the name of the file that has it.
    pub family: &'static str,
    /// What may stand in its body.
    pub spec: fn() -> Spec,
    /// What it does, at length, with an example.
    pub doc: fn() -> &'static str,
}

/// The keys of all steps, those of the ioctls too.
pub fn step_keys() -> impl Iterator<Item = &'static str> {
    let ioctls = uapi::ioctls().iter().map(|ioctl| ioctl.name);
    TABLE.iter().map(|entry| entry.key).chain(ioctls)
}

macro_rules! steps {
    ($($family:literal { $($variant:ident($type:ty) = $key:literal: $help:literal,)* })*) => {
        /// What a step does.
        #[derive(Debug, Clone, PartialEq)]
        pub enum AnyAction {
            /// One of the ioctls.
            Ioctl(Box<ioctl::Ioctl>),
            $($(#[doc = $help] $variant($type),)*)*
        }

        /// The steps that are not ioctls.
        pub const TABLE: &[Entry] = &[
            $($(Entry {
                key: $key,
                help: $help,
                family: $family,
                spec: <$type as Input>::spec,
                doc: <$type as Input>::doc,
            },)*)*
        ];

        impl AnyAction {
            /// Reads the body of a step; none where no step has this key.
            pub fn read(key: &str, body: &Node) -> Option<Result<Self, Problem>> {
                Some(match key {
                    $($($key => <$type as Input>::read(body).map(Self::$variant),)*)*
                    _ => return None,
                })
            }

            /// What every kind of step can do.
            pub fn action(&self) -> &dyn Action {
                match self {
                    Self::Ioctl(it) => &**it,
                    $($(Self::$variant(it) => it,)*)*
                }
            }
        }
    };
}

steps! {
    "file" {
        Open(file::Open) = "open": "Open devices, group nodes or files under names.",
        Close(file::Close) = "close": "Close them.",
        Pread(file::Pread) = "pread": "Read from a device at an offset.",
        Pwrite(file::Pwrite) = "pwrite": "Write to a device at an offset.",
        Read(file::Read) = "read": "Read events into memory of the process.",
        Write(file::Write) = "write": "Write memory of the process to a descriptor.",
        ReadFile(file::ReadFile) = "read_file": "Read a file of sysfs or procfs.",
        WriteFile(file::WriteFile) = "write_file": "Write one value to a file of sysfs or procfs.",
        AwaitFile(file::AwaitFile) = "await_file": "Wait until a file of sysfs or procfs has a certain text.",
        Random(file::Random) = "random": "Read random bytes through the host's own driver: its DMA works.",
    }
    "memory" {
        Memory(memory::Memory) = "memory": "Map memory of the process, page by page, with contents.",
        Mmap(memory::Mmap) = "mmap": "Map a region of a device.",
        Munmap(memory::Munmap) = "munmap": "Unmap memory or a region.",
        Load(memory::Load) = "load": "Load once from memory or a region; a signal is an outcome.",
        Store(memory::Store) = "store": "Store once; a signal is an outcome.",
        CountFaults(memory::CountFaults) = "count_faults": "Load once, and count the page faults that it takes.",
        Peek(memory::Peek) = "peek": "Look at memory of the process.",
        Memfd(memory::Memfd) = "memfd": "Create files that are memory.",
        Udmabuf(memory::Udmabuf) = "udmabuf": "Make a dma-buf of part of a memfd.",
    }
    "event" {
        Eventfd(event::Eventfd) = "eventfd": "Create an eventfd.",
        Wait(event::Wait) = "wait": "Wait until a descriptor is readable.",
        Events(event::Events) = "events": "Wait for an eventfd and take its count; 0 says that no event comes.",
        Signal(event::Signal) = "signal": "Add 1 to an eventfd.",
    }
    "dma" {
        Dma(dma::Dma) = "dma": "Let a device write a page by DMA, and see where it lands.",
        Phys(dma::Phys) = "phys": "Save the physical address of a page of the process.",
    }
    "pci" {
        Driver(pci::Driver) = "driver": "Give a device to a kernel driver, or to none.",
        GroupType(pci::GroupType) = "group_type": "Change the type of a group's default domain.",
        Capability(pci::Capability) = "pci_capability": "Find a capability in a device's configuration space.",
        ResetMethod(pci::ResetMethod) = "reset_method": "Say how the kernel may reset a device; between cases it may not.",
        VirtualFunctions(pci::VirtualFunctions) = "virtual_functions": "Create the virtual functions of a device.",
        ModuleParameter(pci::ModuleParameter) = "module_parameter": "Bind a device to vfio-pci anew, with a parameter of the module.",
        Unplug(pci::Unplug) = "unplug": "Ask the guest to let a device go; it is back after the case.",
        WaitGone(pci::WaitGone) = "wait_gone": "Wait until an unplugged device is gone.",
        Plug(pci::Plug) = "plug": "Plug an unplugged device in again.",
    }
    "process" {
        Fork(process::Fork) = "fork": "Fork a process that waits for steps.",
        Exit(process::Exit) = "exit": "Let a forked process end.",
        UffdBlock(process::UffdBlock) = "uffd_block": "Make whoever touches memory first wait there (userfaultfd).",
        WaitFault(process::WaitFault) = "wait_fault": "Wait until a forked process waits at such memory.",
        UffdResume(process::UffdResume) = "uffd_resume": "Let a forked process go on that waits there.",
        WaitBlocked(process::WaitBlocked) = "wait_blocked": "Wait until a forked process sleeps in the kernel.",
        Rights(process::Capability) = "capability": "Drop or regain capabilities for the rest of the case.",
        Rlimit(process::Rlimit) = "rlimit": "Set soft limits for the rest of the case.",
        LockedVm(process::LockedVm) = "locked_vm": "Compare what the kernel has counted for the process, in bytes.",
        Fault(process::Fault) = "fault": "Break the guest, to test the harness.",
    }
    "control" {
        In(control::process::In) = "in": "Let a forked process execute steps.",
        Start(control::process::Start) = "start": "Let a forked process begin a call.",
        Finish(control::process::Finish) = "finish": "Wait for what a forked process has begun.",
        Repeat(control::repeat::Repeat) = "repeat": "Execute a step many times in a row.",
        Together(control::together::Together) = "together": "Execute steps at once, each in a thread of its own.",
        FailNth(control::fail_nth::FailNth) = "fail_nth": "Execute a step with its 1st, 2nd, ... possible failure injected, until none is left.",
    }
}
