//! The table of steps, which gives each step its key. The parser, the schema, the reference and
//! suggestions use it.

use std::sync::Arc;

use crate::{
    input::Input,
    node::{Name, Node},
    problem::Problem,
    spec::Spec,
    steps::{
        Action, Step, control, dma, event, file,
        ioctl::{Ioctl, named::NamedIoctl, unknown::UnknownIoctls},
        memory, pci, plan, process,
        step::Plan,
    },
};

/// A kind of step.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Key of the step in a case.
    pub key: &'static str,
    /// One line about it.
    pub help: &'static str,
    /// The family that it belongs to: the name of its file.
    pub family: &'static str,
    /// Describes its body.
    pub spec: fn() -> Spec,
    /// Describes it in full, with an example.
    pub doc: fn() -> &'static str,
    read: fn(&Node) -> Result<Arc<dyn Action>, Problem>,
}

fn read<T: Input + Action + 'static>(body: &Node) -> Result<Arc<dyn Action>, Problem> {
    Ok(Arc::new(T::read(body)?))
}

/// The keys of all steps, those of the ioctls too.
pub fn step_keys() -> impl Iterator<Item = &'static str> {
    let ioctls = uapi::ioctls().iter().map(|ioctl| ioctl.name);
    TABLE.iter().map(|entry| entry.key).chain(ioctls)
}

impl Input for Step {
    fn read(node: &Node) -> Result<Self, Problem> {
        let (name, body) = node.single()?;
        let (today, plans) = plan::split(body)?;
        let action = action(name, &today)?;
        let plans = plans.into_iter().map(|plan| {
            Ok(Plan {
                clause: plan.clause,
                action: self::action(name, &plan.body)?,
            })
        });
        let plans = plans.collect::<Result<_, Problem>>()?;
        Ok(Self::new(name.at, action, plans))
    }

    fn spec() -> Spec {
        Spec::Step
    }
}

/// Reads the body of a step.
fn action(name: &Name, body: &Node) -> Result<Arc<dyn Action>, Problem> {
    match is_ioctl(&name.text) {
        true => Ok(Arc::new(Ioctl::read(name, body)?)),
        false => (entry(name)?.read)(body),
    }
}

fn entry(name: &Name) -> Result<&'static Entry, Problem> {
    let found = TABLE.iter().find(|entry| entry.key == name.text);
    found.ok_or_else(|| Problem::unknown_name(name.at, "step", &name.text, step_keys()))
}

/// Whether a key is the name of an ioctl: only these are in capitals.
fn is_ioctl(key: &str) -> bool {
    let in_capitals = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    key.bytes().all(in_capitals)
}

macro_rules! steps {
    ($($family:literal { $($key:literal: $type:ty = $help:literal,)* })*) => {
        /// The steps that are not ioctls.
        pub const TABLE: &[Entry] = &[
            $($(Entry {
                key: $key,
                help: $help,
                family: $family,
                spec: <$type as Input>::spec,
                doc: <$type as Input>::doc,
                read: read::<$type>,
            },)*)*
        ];
    };
}

steps! {
    "file" {
        "open": file::Open = "Open devices, group nodes or files under names.",
        "close": file::Close = "Close descriptors.",
        "pread": file::Pread = "Read from a device at an offset.",
        "pwrite": file::Pwrite = "Write to a device at an offset.",
        "read": file::Read = "Read events into memory of the process.",
        "write": file::Write = "Write memory of the process to a descriptor.",
        "read_file": file::ReadFile = "Read a file of sysfs or procfs.",
        "list": file::List = "Compare the names in a folder of sysfs, procfs or /dev.",
        "write_file": file::WriteFile = "Write one value to a file of sysfs or procfs.",
        "await_file": file::AwaitFile = "Wait until a file of sysfs or procfs has a certain text.",
        "random": file::Random = "Read random bytes through a host driver, to show that \
         its DMA works.",
    }
    "memory" {
        "memory": memory::Memory = "Map memory of the process, page by page, with contents.",
        "mmap": memory::Mmap = "Map a region of a device.",
        "munmap": memory::Munmap = "Unmap memory or a region.",
        "load": memory::Load = "Load once from memory or a region; a signal can be expected.",
        "store": memory::Store = "Store once; a signal can be expected.",
        "count_faults": memory::CountFaults = "Load once, and count the page faults that it takes.",
        "peek": memory::Peek = "Look at memory of the process.",
        "memfd": memory::Memfd = "Create memfds.",
        "udmabuf": memory::Udmabuf = "Make a dma-buf of part of a memfd.",
    }
    "event" {
        "eventfd": event::Eventfd = "Create an eventfd.",
        "wait": event::Wait = "Wait until a descriptor is readable.",
        "events": event::Events = "Wait for an eventfd and read its count; 0 means that no event \
         comes.",
        "signal": event::Signal = "Add 1 to an eventfd.",
    }
    "dma" {
        "dma": dma::Dma = "Let a device write a page by DMA, and see where it lands.",
        "phys": dma::Phys = "Save the physical address of a page of the process.",
    }
    "pci" {
        "driver": pci::Driver = "Bind a device to a kernel driver, or to none.",
        "group_type": pci::GroupType = "Change the type of a group's default domain.",
        "pci_capability": pci::Capability = "Find a capability in a device's configuration space.",
        "reset_method": pci::ResetMethod = "Set the reset methods of a device; between cases it \
         has none, or a quick one.",
        "virtual_functions": pci::VirtualFunctions = "Create the virtual functions of a device.",
        "module_parameter": pci::ModuleParameter = "Bind a device to vfio-pci again, with another \
         module parameter.",
        "unplug": pci::Unplug = "Ask the guest to release a device; it is plugged in again after \
         the case.",
        "wait_gone": pci::WaitGone = "Wait until an unplugged device is gone.",
        "plug": pci::Plug = "Plug an unplugged device in again.",
        "remove": pci::Remove = "Remove a device from its bus; it is found again after the case.",
        "rescan": pci::Rescan = "Let the kernel find a removed device again.",
    }
    "process" {
        "fork": process::Fork = "Fork a process that waits for steps.",
        "exit": process::Exit = "Let a forked process end.",
        "uffd_block": process::UffdBlock = "Make the first access to memory wait (userfaultfd).",
        "wait_fault": process::WaitFault = "Wait until a forked process waits for such memory.",
        "uffd_resume": process::UffdResume = "Resume a forked process that waits for such memory.",
        "wait_blocked": process::WaitBlocked = "Wait until a forked process sleeps in the kernel.",
        "interrupt": process::Interrupt = "Send a forked process a signal that it handles.",
        "capability": process::Capability = "Drop or regain capabilities for the rest of the case.",
        "rlimit": process::Rlimit = "Set soft limits for the rest of the case.",
        "user": process::User = "Become another user, without any capability.",
        "locked_vm": process::LockedVm = "Compare the locked and pinned bytes that the kernel has \
         counted for the process.",
        "fault": process::Fault = "Break the guest, to test the harness.",
    }
    "control" {
        "in": control::process::In = "Let a forked process execute steps.",
        "start": control::process::Start = "Let a forked process begin a call.",
        "finish": control::process::Finish = "Wait for a call that a forked process has begun.",
        "repeat": control::repeat::Repeat = "Execute a step many times in a row.",
        "together": control::together::Together = "Execute steps at once, each in its own thread.",
        "fail_nth": control::fail_nth::FailNth = "Execute a step with its 1st, 2nd, ... possible failure injected, until none is left.",
    }
    "ioctl" {
        "ioctl": NamedIoctl = "Make an ioctl that only the headers of the kernel under test have.",
        "unknown_ioctls": UnknownIoctls = "Call each ioctl that the kernel does not know: those \
         that are newer, and one that no kernel has.",
    }
}
