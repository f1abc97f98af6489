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

/// Returns the names in a folder that begin so and are not `numbered` and a number, one a line. Of
/// those in the form `like` only the form is shown.
pub fn list_folder(
    path: &str,
    begin: &str,
    numbered: Option<&str>,
    like: Option<&str>,
) -> io::Result<Vec<u8>> {
    let names = names_in(&first_of_each(path)?)?;
    let is_numbered = |name: &str| {
        let number = numbered.and_then(|before| name.strip_prefix(before));
        number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let mut text = Vec::new();
    for name in names {
        let is_like = like.is_none_or(|form| form_of(&name) == form);
        if name.starts_with(begin) && !is_numbered(&name) && is_like {
            text.extend(like.unwrap_or(&name).bytes());
            text.push(b'\n');
        }
    }
    Ok(text)
}

/// Returns a name with `#` in place of each number.
fn form_of(name: &str) -> String {
    let mut form = String::new();
    for c in name.chars() {
        match c.is_ascii_digit() {
            true if form.ends_with('#') => {}
            true => form.push('#'),
            false => form.push(c),
        }
    }
    form
}

/// Replaces each component `*` of a path by the first name there.
fn first_of_each(path: &str) -> io::Result<String> {
    let mut path = path.to_owned();
    while let Some((folder, rest)) = path.split_once("/*") {
        let first = names_in(folder)?.into_iter().next();
        let first = first.ok_or(io::ErrorKind::NotFound)?;
        path = format!("{folder}/{first}{rest}");
    }
    Ok(path)
}

fn names_in(folder: &str) -> io::Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
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

    #[rstest::rstest]
    #[case::all("/", "", None, None, "0\n12\nnode\nnode7\n")]
    #[case::that_begin_so("/", "no", None, None, "node\nnode7\n")]
    #[case::without_numbers("/", "", Some(""), None, "node\nnode7\n")]
    #[case::without_numbered("/", "", Some("node"), None, "0\n12\nnode\n")]
    #[case::of_a_form("/", "", None, Some("#"), "#\n#\n")]
    #[case::of_another_form("/", "", None, Some("node#"), "node#\n")]
    #[case::of_no_form("/", "", None, Some("#-#"), "")]
    #[case::of_the_first("/*", "", None, None, "inner\n")]
    fn names_of_a_folder_are_listed(
        #[case] below: &str,
        #[case] begin: &str,
        #[case] numbered: Option<&str>,
        #[case] like: Option<&str>,
        #[case] listed: &str,
    ) {
        let folder = std::env::temp_dir().join(format!("list-{}", std::process::id()));
        let folder = folder.join(format!("{}-{begin}-{numbered:?}-{like:?}", below.len()));
        for name in ["0/inner", "12", "node", "node7"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        let path = format!("{}{below}", folder.display());
        let names = list_folder(&path, begin, numbered, like).unwrap();
        assert_eq!(String::from_utf8(names).unwrap(), listed);
        std::fs::remove_dir_all(folder).unwrap();
    }

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
