//! Deliberate faults, for the tests of the harness.

use std::{
    fs::File,
    io,
    os::fd::{FromRawFd, RawFd},
    path::Path,
};

use nix::sys::{mman::MapFlags, signal::Signal};
use wire::Fault;

use crate::{
    memory::{PAGE, anonymous, pointer},
    op_error::{Done, ok},
    sysfs,
};

/// Causes a fault.
pub fn commit(fault: Fault) -> Done {
    match fault {
        Fault::None => {}
        Fault::PanicKernel => sysfs::write("/proc/sysrq-trigger", "c")?,
        Fault::Hang => loop {
            nix::unistd::pause();
        },
        Fault::Starve => starve()?,
        Fault::KillAgent => {
            let init = nix::unistd::Pid::from_raw(1);
            nix::sys::signal::kill(init, nix::sys::signal::Signal::SIGTERM)?;
        }
        Fault::Warn => sysfs::write("/dev/kmsg", "<4>------------[ cut here ]------------\n")?,
        Fault::Die => nix::sys::signal::raise(Signal::SIGKILL)?,
        Fault::Garbage => write_garbage()?,
        Fault::LockMemory => {
            let at = pointer(anonymous(PAGE, MapFlags::MAP_PRIVATE)?)?;
            // SAFETY: the mapping was made just now with this length.
            unsafe { nix::sys::mman::mlock(at, PAGE as usize)? };
        }
    }
    ok(0)
}

/// Takes the processor for ever, before everything else.
fn starve() -> io::Result<()> {
    sysfs::write("/proc/sys/kernel/sched_rt_runtime_us", "-1")?;
    // Linux 6.12 and newer keep a part of the time for usual tasks.
    let server = Path::new("/sys/kernel/debug/sched/fair_server/cpu0/runtime");
    if server.exists() {
        std::fs::write(server, "0")?;
    }
    let highest = libc::sched_param { sched_priority: 99 };
    // SAFETY: plain system call with a pointer to a live struct.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const highest) };
    nix::errno::Errno::result(done)?;
    loop {
        std::hint::spin_loop();
    }
}

/// The port of replies is still open in this process, as in the agent that forked it.
fn write_garbage() -> io::Result<()> {
    for name in sysfs::names("/proc/self/fd") {
        let path = format!("/proc/self/fd/{name}");
        let target = sysfs::link_name(&path).unwrap_or_default();
        if let (true, Ok(fd)) = (target.starts_with("vport"), name.parse::<RawFd>()) {
            // SAFETY: borrowed for one write; ManuallyDrop keeps it open.
            let mut port = std::mem::ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
            // The port of requests is open for reading only.
            if io::Write::write_all(&mut *port, b"this is no frame").is_ok() {
                return Ok(());
            }
        }
    }
    Err(io::Error::other("no port is open here for writing"))
}
