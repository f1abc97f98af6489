//! The kernel log, split by case.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
};

/// Reader of the log, which leaves out no line from the first of the boot.
pub struct Log(Option<File>);

impl Log {
    /// Opens the log. If that fails, cases have no log.
    pub fn open() -> Self {
        let mut how = OpenOptions::new();
        how.read(true).custom_flags(libc::O_NONBLOCK);
        Self(how.open("/dev/kmsg").ok())
    }

    /// Puts the start marker and returns the lines since the end marker before.
    pub fn mark_start(&mut self, case: &str) -> Vec<String> {
        let lines = self.lines();
        mark("start", case);
        lines
    }

    /// Puts the end marker and returns the lines in between.
    pub fn mark_end(&mut self, case: &str) -> Vec<String> {
        let lines = self.lines();
        mark("end", case);
        lines
    }

    /// Returns the lines that were not returned before.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let Some(file) = self.0.as_mut() else {
            return lines;
        };
        let mut record = [0; 8192];
        // EAGAIN is the end of the log. EPIPE means that records were overwritten, and reading
        // continues.
        loop {
            match file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => lines.push(text_of(&record[..length])),
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {
                    lines.push("(records lost)".to_owned());
                }
                Err(_) => break,
            }
        }
        lines.retain(|line| !line.starts_with(MARK));
        lines
    }
}

const MARK: &str = "conformance:";

/// Returns the text of a record, which is `priority,sequence,time,flags;text` with continuation
/// lines for its keys.
fn text_of(record: &[u8]) -> String {
    let record = String::from_utf8_lossy(record);
    let text = record
        .split_once(';')
        .map_or(record.as_ref(), |(_, text)| text);
    text.lines().next().unwrap_or_default().to_owned()
}

fn mark(what: &str, case: &str) {
    if let Ok(mut file) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // <6>: information, so that the markers stay off a slow serial console.
        let _ = file.write_all(format!("<6>{MARK} {what} {case}\n").as_bytes());
    }
}
