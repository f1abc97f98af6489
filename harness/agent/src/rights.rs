//! Capabilities, limits and accounting of a process.

use std::io;

use nix::{
    errno::Errno,
    sys::resource::{self, getrlimit, setrlimit},
    unistd::{Gid, Uid, setgroups, setresgid, setresuid},
};
use wire::{LockedVm, Resource};

use crate::sysfs;

/// `_LINUX_CAPABILITY_VERSION_3`: 64 bits in two words.
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Default, Clone, Copy)]
struct Sets {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Adds a capability to the effective set of this process, or removes it.
pub fn set_capability(number: u8, effective: bool) -> nix::Result<()> {
    let header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut sets = [Sets::default(); 2];
    // SAFETY: both point to structures of the layout that version 3 has.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw const header, &raw mut sets) })?;
    let word = sets
        .get_mut(usize::from(number / 32))
        .ok_or(Errno::EINVAL)?;
    let bit = 1 << (number % 32);
    if effective {
        word.effective |= bit;
    } else {
        word.effective &= !bit;
    }
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw const header, &raw const sets) })?;
    Ok(())
}

/// Makes this process one of another user and group. The kernel takes all its capabilities.
pub fn become_user(id: u32) -> nix::Result<()> {
    let (user, group) = (Uid::from_raw(id), Gid::from_raw(id));
    setgroups(&[])?;
    setresgid(group, group, group)?;
    setresuid(user, user, user)
}

/// Changes a soft limit. The hard limit stays, so that the soft one can be raised again.
pub fn set_limit(resource: Resource, limit: u64) -> nix::Result<()> {
    let resource = match resource {
        Resource::Memlock => resource::Resource::RLIMIT_MEMLOCK,
        Resource::Nofile => resource::Resource::RLIMIT_NOFILE,
    };
    let (_, hard) = getrlimit(resource)?;
    setrlimit(resource, limit, hard.max(limit))
}

/// Returns the bytes that the kernel has counted for this process. A negative count, after a bug of
/// the kernel, is returned as its two's complement.
pub fn locked_vm(counter: LockedVm) -> io::Result<u64> {
    let status = sysfs::read("/proc/self/status");
    kilobytes(&status, counter.name())
        .map(|kilobytes| kilobytes.wrapping_mul(1024))
        .ok_or_else(|| {
            io::Error::other(format!("/proc/self/status has no line {}", counter.name()))
        })
}

/// The number of a line such as `VmPin:      12 kB`.
fn kilobytes(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_by_its_whole_name() {
        let status = "VmPinned:\t7 kB\nVmLck:\t       0 kB\nVmPin:\t      12 kB\nThreads:\t1\n";
        assert_eq!(kilobytes(status, "VmPin"), Some(12));
        assert_eq!(kilobytes(status, "VmLck"), Some(0));
        assert_eq!(kilobytes(status, "Threads"), None);
        assert_eq!(kilobytes(status, "VmRSS"), None);
    }

    #[test]
    fn a_limit_can_be_lowered_and_raised() {
        let (soft, hard) =
            nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK).unwrap();
        set_limit(wire::Resource::Memlock, 0).unwrap();
        set_limit(wire::Resource::Memlock, soft).unwrap();
        let after =
            nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MEMLOCK).unwrap();
        assert_eq!(after, (soft, hard));
    }
}
