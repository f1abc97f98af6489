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
                Ok(length) => lines.extend(lines_of(&record[..length])),
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

/// Returns the lines of a record, which is `priority,sequence,time,flags;text` with continuation
/// lines for its keys. Within the text the kernel escapes line ends, tabs and backslashes.
fn lines_of(record: &[u8]) -> Vec<String> {
    let record = String::from_utf8_lossy(record);
    let text = record
        .split_once(';')
        .map_or(record.as_ref(), |(_, text)| text);
    let text = text.lines().next().unwrap_or_default();
    let text = text.replace("\\x0a", "\n").replace("\\x09", "\t");
    let lines = text.trim_matches('\n').split('\n');
    lines.map(|line| line.replace("\\x5c", "\\")).collect()
}

fn mark(what: &str, case: &str) {
    if let Ok(mut file) = OpenOptions::new().write(true).open("/dev/kmsg") {
        // <6>: information, so that the markers stay off a slow serial console.
        let _ = file.write_all(format!("<6>{MARK} {what} {case}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("4,1,2,-;a line\n", &["a line"])]
    #[case::with_keys("4,1,2,-;a line\n SUBSYSTEM=pci\n", &["a line"])]
    #[case::of_several("4,1,2,-;\\x0abut task holds:\\x0a\\x09b\n", &["but task holds:", "\tb"])]
    #[case::with_a_backslash("4,1,2,-;a\\x5cb\n", &["a\\b"])]
    #[case::without_text("4,1,2,-;", &[""])]
    #[case::garbage("x", &["x"])]
    fn a_record_has_lines(#[case] record: &str, #[case] want: &[&str]) {
        assert_eq!(lines_of(record.as_bytes()), want);
    }
}
