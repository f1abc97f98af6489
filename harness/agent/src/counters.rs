//! The gcov counters of the kernel.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

use wire::{FrameError, Reply, write_frame};

/// Folder of the counters in debugfs: one file for each object file, at the path of its build.
const ROOT: &str = "/sys/kernel/debug/gcov";
/// Maximum number of bytes in one message.
const PIECE: u64 = 256 << 10;

/// Sends every file of counters in pieces, and then the number of files.
pub fn send(replies: &mut File) -> Result<(), FrameError> {
    let mut files = 0;
    let mut unread = Vec::new();
    for path in counters(Path::new(ROOT)) {
        match send_file(replies, &path)? {
            Ok(()) => files += 1,
            Err(error) => unread.push(format!("{}: {error}", path.display())),
        }
    }
    write_frame(replies, &Reply::CountersEnd { files, unread })
}

/// Sends one file. The inner error is that of reading it.
fn send_file(replies: &mut File, path: &Path) -> Result<io::Result<()>, FrameError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    loop {
        let mut bytes = Vec::new();
        if let Err(error) = (&mut file).take(PIECE).read_to_end(&mut bytes) {
            return Ok(Err(error));
        }
        if bytes.is_empty() {
            return Ok(Ok(()));
        }
        let path = path.strip_prefix(ROOT).unwrap_or(path);
        let path = path.to_string_lossy().into_owned();
        write_frame(replies, &Reply::Counters { path, bytes })?;
    }
}

/// The files of counters below a folder, in order; the links to the notes are left out.
fn counters(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(counters(&path)),
            Ok(kind) if kind.is_file() && path.extension().is_some_and(|e| e == "gcda") => {
                found.push(path);
            }
            _ => {}
        }
    }
    found.sort();
    found
}
