//! Complaints of the kernel that somebody knows of and allows until a date (`--splat-allow`).

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use case::KnownComplaint;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{record::today, splat};

/// The complaints that a run allows.
#[derive(Debug, Default)]
pub struct Allowed(Vec<AllowedComplaint>);

/// A complaint that a run allows, and how often it saw it.
#[derive(Debug)]
struct AllowedComplaint {
    complaint: KnownComplaint,
    reason: String,
    until: Date,
    seen: AtomicUsize,
}

/// An entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// A text in the lines of the complaint, or several of which one is there; ` ... ` stands for
    /// anything.
    text: Texts,
    /// Why it is allowed.
    reason: String,
    /// The last day on which it is.
    until: Date,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Several(Vec<String>),
}

/// What became of an entry in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowedReport {
    /// The texts that tell the complaint.
    pub texts: Vec<String>,
    pub reason: String,
    /// The last day on which it is allowed.
    pub until: String,
    /// Whether that day is over, so that the complaint is judged again.
    pub over: bool,
    /// Number of complaints that it allowed.
    pub seen: usize,
}

/// Why a file of allowed complaints cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AllowedError {
    /// The file cannot be read.
    #[error("--splat-allow: reading {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    /// The file is malformed.
    #[error(
        "--splat-allow: {path}: {error}\neach entry has `text` (in the lines of the complaint), \
         `reason` and `until` (a date such as 2027-01-31)"
    )]
    Malformed {
        path: PathBuf,
        /// The error with its line.
        error: Box<serde_yaml::Error>,
    },
    /// A text or a reason is empty.
    #[error("--splat-allow: {path}: entry {number} has an empty {what}")]
    Empty {
        path: PathBuf,
        /// Number of the entry, from 1.
        number: usize,
        /// What is empty.
        what: &'static str,
    },
}

impl Allowed {
    /// Reads a file. Entries whose date is over allow nothing.
    pub fn load(path: &Path) -> Result<Self, AllowedError> {
        let text = fs::read_to_string(path).map_err(|error| AllowedError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::read(&text, path)
    }

    fn read(text: &str, path: &Path) -> Result<Self, AllowedError> {
        // A file with comments only is null in YAML.
        let entries: Option<Vec<Entry>> =
            serde_yaml::from_str(text).map_err(|error| AllowedError::Malformed {
                path: path.to_owned(),
                error: Box::new(error),
            })?;
        let entries = entries
            .unwrap_or_default()
            .into_iter()
            .map(AllowedComplaint::of);
        let all: Vec<_> = entries.collect();
        for (index, one) in all.iter().enumerate() {
            if let Some(what) = one.empty() {
                let (path, number) = (path.to_owned(), index + 1);
                return Err(AllowedError::Empty { path, number, what });
            }
        }
        Ok(Self(all))
    }

    /// Marks the lines of allowed complaints, so that nobody judges them. Returns whether there
    /// were some.
    pub fn mark(&self, log: &mut [String]) -> bool {
        // Nearly every run, for each of its cases.
        if self.0.is_empty() {
            return false;
        }
        let today = today();
        let marked = |lines: &[&str]| self.allows(&lines.join("\n"), today);
        let complaints = splat::all(log);
        let before = log.len() - complaints.iter().map(Vec::len).sum::<usize>();
        let allowed: Vec<_> = complaints
            .iter()
            .flat_map(|lines| std::iter::repeat_n(marked(lines), lines.len()))
            .collect();
        let lines = log.iter_mut().skip(before).zip(&allowed);
        for (line, _) in lines.filter(|(_, allowed)| **allowed) {
            line.insert_str(0, splat::ALLOWED);
        }
        allowed.contains(&true)
    }

    fn allows(&self, complaint: &str, today: Date) -> bool {
        let is = |one: &&AllowedComplaint| !one.is_over(today) && one.complaint.is(complaint);
        let known = self.0.iter().find(is);
        if let Some(one) = known {
            one.seen.fetch_add(1, Ordering::Relaxed);
        }
        known.is_some()
    }

    /// Returns what became of each entry so far.
    pub fn reports(&self) -> Vec<AllowedReport> {
        let today = today();
        let report = |one: &AllowedComplaint| AllowedReport {
            texts: one.complaint.0.clone(),
            reason: one.reason.clone(),
            until: one.until.to_string(),
            over: one.is_over(today),
            seen: one.seen.load(Ordering::Relaxed),
        };
        self.0.iter().map(report).collect()
    }
}

impl AllowedComplaint {
    fn of(entry: Entry) -> Self {
        let texts = match entry.text {
            Texts::One(text) => vec![text],
            Texts::Several(texts) => texts,
        };
        Self {
            complaint: KnownComplaint(texts),
            reason: entry.reason,
            until: entry.until,
            seen: AtomicUsize::new(0),
        }
    }

    fn is_over(&self, today: Date) -> bool {
        self.until < today
    }

    fn empty(&self) -> Option<&'static str> {
        let texts = &self.complaint.0;
        let no_text = texts.is_empty() || texts.iter().any(|text| text.trim().is_empty());
        match (no_text, self.reason.trim().is_empty()) {
            (true, _) => Some("`text`, which would allow everything"),
            (false, true) => Some("`reason`"),
            (false, false) => None,
        }
    }
}

impl std::fmt::Display for AllowedReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            reason,
            until,
            seen,
            over,
            ..
        } = self;
        let text = KnownComplaint(self.texts.clone());
        match (over, seen) {
            (true, _) => write!(f, "{text} was allowed until {until}, and is judged again"),
            (false, 0) => write!(f, "{text} is allowed until {until}, and was not seen"),
            (false, seen) => write!(f, "{text} was seen {seen} times ({reason}; until {until})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use rstest::rstest;

    const FILE: &str = "
- text: 'WARNING: drivers/a.c'
  reason: mended in the next merge
  until: 9999-12-31
- text: ['BUG: b', 'BUG: c']
  reason: a very old one
  until: 2001-01-01
";

    fn allowed(text: &str) -> Allowed {
        Allowed::read(text, Path::new("allow.yaml")).unwrap()
    }

    fn log(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn allowed_complaints_are_marked_with_all_their_lines() {
        let allowed = allowed(FILE);
        let mut lines = log("vfio: x\n------------[ cut here ]------------\n\
             WARNING: drivers/a.c:7 at f+0x1/0x2\nCall Trace:\nBUG: b\nafter");
        assert!(allowed.mark(&mut lines));
        let expected = [
            "vfio: x",
            "allowed: ------------[ cut here ]------------",
            "allowed: WARNING: drivers/a.c:7 at f+0x1/0x2",
            "allowed: Call Trace:",
            "BUG: b",
            "after",
        ];
        assert_eq!(lines, expected);
        assert_eq!(splat::find(&lines).as_deref(), Some("BUG: b\nafter"));
        let told: Vec<_> = allowed.reports().iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(told.join("\n"), @r"
        `WARNING: drivers/a.c` was seen 1 times (mended in the next merge; until 9999-12-31)
        `BUG: b` or `BUG: c` was allowed until 2001-01-01, and is judged again
        ");
        assert!(!allowed.mark(&mut lines), "marked lines are no complaint");
    }

    #[rstest]
    #[case::no_list("text: a")]
    #[case::no_reason("- {text: a, until: 2027-01-01}")]
    #[case::no_end("- {text: a, reason: b}")]
    #[case::no_date("- {text: a, reason: b, until: soon}")]
    #[case::unknown("- {text: a, reason: b, until: 2027-01-01, when: x}")]
    #[case::empty_text("- {text: '', reason: b, until: 2027-01-01}")]
    #[case::no_texts("- {text: [], reason: b, until: 2027-01-01}")]
    #[case::empty_reason("- {text: a, reason: ' ', until: 2027-01-01}")]
    fn mistakes_are_told_with_their_file(#[case] text: &str) {
        let error = Allowed::read(text, Path::new("allow.yaml")).unwrap_err();
        assert!(error.to_string().contains("allow.yaml"), "{error}");
    }

    #[test]
    fn a_file_of_comments_allows_nothing() {
        assert!(!allowed("# none yet\n").mark(&mut log("BUG: b")));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n]{0,80}", log in vec("[ -~]{0,20}", 0..9)) {
            if let Ok(allowed) = Allowed::read(&text, Path::new("a")) {
                allowed.mark(&mut log.clone());
            }
        }
    }
}
