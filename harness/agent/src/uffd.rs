//! Memory whose page faults wait: userfaultfd(2).
//!
//! A system call that pins memory can so be paused in the middle, and another process can check
//! what it has done so far.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

// linux/userfaultfd.h
const UFFD_API: u64 = 0xaa;
const UFFDIO_API: u32 = 0xc018_aa3f;
const UFFDIO_REGISTER: u32 = 0xc020_aa00;
const UFFDIO_ZEROPAGE: u32 = 0xc020_aa04;
const MODE_MISSING: u64 = 1;
const EVENT_PAGEFAULT: u8 = 0x12;
const PAGE: u64 = 4096;

#[repr(C)]
#[derive(Default)]
struct Api {
    api: u64,
    features: u64,
    ioctls: u64,
}

/// `uffdio_register` and `uffdio_zeropage` alike.
#[repr(C)]
#[derive(Default)]
struct Range {
    start: u64,
    length: u64,
    mode: u64,
    result: u64,
}

/// Makes the first access to each page of the memory wait.
pub fn block(start: u64, length: u64) -> io::Result<OwnedFd> {
    // SAFETY: plain system call; a non-negative result is a new descriptor of ours.
    let fd = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC | libc::O_NONBLOCK) };
    // SAFETY: see above.
    let fd = unsafe { OwnedFd::from_raw_fd(Errno::result(fd)? as i32) };
    let mut api = Api {
        api: UFFD_API,
        ..Api::default()
    };
    ioctl(&fd, UFFDIO_API, &mut api)?;
    let mut range = Range {
        start,
        length,
        mode: MODE_MISSING,
        result: 0,
    };
    ioctl(&fd, UFFDIO_REGISTER, &mut range)?;
    Ok(fd)
}

/// Waits until an access waits for a page, and returns its address.
pub fn wait_fault(fd: OwnedFd, timeout: Duration) -> io::Result<u64> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    if poll(&mut fds, timeout)? == 0 {
        return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
    }
    let mut message = [0; 32];
    File::from(fd).read_exact(&mut message)?;
    fault_address(&message).ok_or_else(|| {
        io::Error::other(format!(
            "unexpected message from userfaultfd: \
            {message:02x?}"
        ))
    })
}

/// The address in a `struct uffd_msg` about a page fault.
fn fault_address(message: &[u8; 32]) -> Option<u64> {
    let address = message.get(16..24)?.try_into().ok()?;
    (message[0] == EVENT_PAGEFAULT).then(|| u64::from_le_bytes(address))
}

/// Resumes the accesses that wait at an address, with a page of zeros.
pub fn resume(fd: &OwnedFd, at: u64) -> io::Result<()> {
    let mut range = Range {
        start: at / PAGE * PAGE,
        length: PAGE,
        ..Range::default()
    };
    ioctl(fd, UFFDIO_ZEROPAGE, &mut range)
}

fn ioctl<T>(fd: &OwnedFd, request: u32, argument: &mut T) -> io::Result<()> {
    // SAFETY: the argument is the structure that the request takes.
    let done = unsafe {
        libc::ioctl(
            fd.as_raw_fd(),
            request as libc::Ioctl,
            std::ptr::from_mut(argument),
        )
    };
    Errno::result(done)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_about_something_else_has_no_address() {
        let mut message = [0; 32];
        message[16..24].copy_from_slice(&0x1234_5000_u64.to_le_bytes());
        assert_eq!(fault_address(&message), None);
        message[0] = EVENT_PAGEFAULT;
        assert_eq!(fault_address(&message), Some(0x1234_5000));
    }
}
