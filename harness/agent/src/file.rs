//! Reads files, and waits for them.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::alarm,
};
use wire::{OpenFlags, Timeout};

use crate::memory::PAGE;

/// How a file is opened.
pub fn options(flags: OpenFlags) -> OpenOptions {
    let mut options = OpenOptions::new();
    match flags {
        OpenFlags::ReadWrite => options.read(true).write(true),
        OpenFlags::ReadOnly => options.read(true),
        OpenFlags::WriteOnly => options.write(true),
    };
    options
}

/// Returns the first page of a file.
pub fn read_file(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; PAGE as usize];
    let read = File::open(path)?.read(&mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Returns the text of a file once it is `text`, or at the deadline.
pub fn await_file(path: &str, text: &str, timeout: Timeout) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + timeout.duration();
    loop {
        let bytes = read_file(path)?;
        if bytes.trim_ascii() == text.as_bytes() || Instant::now() >= deadline {
            return Ok(bytes);
        }
        std::thread::yield_now();
    }
}

/// Bytes that `/dev/hwrng` may have buffered before: a cache line in the core, which is kept when
/// the device goes, and one in virtio-rng.
const LEFT_OVER: usize = 2 * 64;

/// Reads this many new bytes from the device, or gives up with ETIMEDOUT. Bytes that may have been
/// buffered before are read and dropped, because they do not show that the device's DMA works.
///
/// A read of `/dev/hwrng` waits for an earlier reader even with O_NONBLOCK; only a signal
/// interrupts it.
pub fn read_device(path: &str, length: u64, timeout: Timeout) -> io::Result<Vec<u8>> {
    let interrupt = SigAction::new(
        SigHandler::Handler(interrupted),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGALRM, &interrupt)? };
    alarm::set(timeout.0.div_ceil(1000) as u32);
    let read = read_until(path, LEFT_OVER + length as usize, timeout);
    alarm::cancel();
    read.map(fresh)
}

fn fresh(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.split_off(LEFT_OVER.min(bytes.len()))
}

extern "C" fn interrupted(_: i32) {}

fn read_until(path: &str, length: usize, timeout: Timeout) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)?;
    let deadline = Instant::now() + timeout.duration();
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read(&mut bytes[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < deadline =>
            {
                std::thread::yield_now();
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
            }
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Waits until a path exists, or no longer exists.
pub fn await_path(path: &str, there: bool, timeout: Timeout) -> io::Result<()> {
    let deadline = Instant::now() + timeout.duration();
    // sysfs does not notify watchers of a directory.
    while std::path::Path::new(path).exists() != there {
        if Instant::now() >= deadline {
            return Err(Errno::ETIMEDOUT.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_over_shows_nothing() {
        let read = read_device("/dev/zero", 16, Timeout(60_000)).unwrap();
        assert_eq!(read, [0; 16]);
        let short: Vec<u8> = (0..=LEFT_OVER as u8).collect();
        assert_eq!(fresh(short), [LEFT_OVER as u8]);
        assert!(fresh(vec![1; LEFT_OVER]).is_empty());
    }

    #[test]
    fn a_file_is_awaited_up_to_the_deadline() {
        let path = "/proc/sys/kernel/ostype";
        assert_eq!(
            await_file(path, "Linux", Timeout(60_000)).unwrap(),
            b"Linux\n"
        );
        assert_eq!(await_file(path, "gone", Timeout(1)).unwrap(), b"Linux\n");
    }
}
