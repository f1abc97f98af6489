//! The reviewed list of error returns that no case can reach, each with the reason.

use serde::Deserialize;

use crate::measure::{Coverage, ErrorReturn};

/// An entry of the list.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Path in the kernel tree.
    pub file: String,
    pub function: String,
    /// Name of the errno.
    pub errno: String,
    /// A part of the line, if the function has several with this errno.
    pub text: Option<String>,
    /// A part of the joined lines before it, if several lines are equal.
    pub after: Option<String>,
    /// Why no case can reach it, or none on the reference platform.
    pub why: String,
    /// The platform or flavour on which a case reaches it. An entry that has one may be reached.
    pub reached_on: Option<String>,
}

impl Entry {
    /// Whether it matches this error return.
    pub fn is_about(&self, file: &str, error: &ErrorReturn) -> bool {
        let has = |text: &str, part: &Option<String>| {
            part.as_ref().is_none_or(|part| text.contains(part))
        };
        self.file == file
            && self.function == error.function
            && error.errnos.contains(&self.errno)
            && has(&error.text, &self.text)
            && has(&error.before, &self.after)
    }

    fn name(&self) -> String {
        let mut name = format!("{} {} {}", self.file, self.function, self.errno);
        for (key, part) in [("text", &self.text), ("after", &self.after)] {
            if let Some(part) = part {
                name += &format!(" {key} `{part}`");
            }
        }
        name
    }
}

/// The whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reasons(pub Vec<Entry>);

/// Why the list cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("reading the list of unreachable error returns: {0}")]
pub struct ReasonsError(#[from] serde_yaml::Error);

/// An entry that does not match the measured coverage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// No error return matches the entry.
    MatchesNothing(Entry),
    /// The error return was reached, on these lines.
    Reached(Entry, Vec<u32>),
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::MatchesNothing(entry) => write!(
                f,
                "{}: the kernel has no such error return; correct the entry or remove it",
                entry.name()
            ),
            Self::Reached(entry, lines) => {
                let lines: Vec<_> = lines.iter().map(u32::to_string).collect();
                write!(
                    f,
                    "{}: reached on line {}; remove the entry, or give it a `text` or an `after` that only \
                     the unreached lines have",
                    entry.name(),
                    lines.join(", ")
                )
            }
        }
    }
}

/// Unreached error returns, sorted by whether there is a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sorted<'a> {
    /// File, error return, reason.
    pub excused: Vec<(&'a str, &'a ErrorReturn, &'a str)>,
    /// File, error return.
    pub open: Vec<(&'a str, &'a ErrorReturn)>,
    /// Entries that do not match.
    pub stale: Vec<Stale>,
}

impl Reasons {
    /// Reads the list.
    pub fn read(text: &str) -> Result<Self, ReasonsError> {
        let entries: Option<Vec<Entry>> = serde_yaml::from_str(text)?;
        Ok(Self(entries.unwrap_or_default()))
    }

    /// Sorts the error returns that a run did not reach.
    pub fn sort<'a>(&'a self, coverage: &'a Coverage) -> Sorted<'a> {
        let mut sorted = Sorted {
            excused: Vec::new(),
            open: Vec::new(),
            stale: self
                .0
                .iter()
                .filter_map(|entry| stale(entry, coverage))
                .collect(),
        };
        for (file, error) in coverage.error_returns().filter(|(_, error)| !error.reached) {
            match self.0.iter().find(|entry| entry.is_about(file, error)) {
                Some(entry) => sorted.excused.push((file, error, entry.why.trim())),
                None => sorted.open.push((file, error)),
            }
        }
        sorted
    }
}

fn stale(entry: &Entry, coverage: &Coverage) -> Option<Stale> {
    let own = || {
        coverage
            .error_returns()
            .filter(|(file, error)| entry.is_about(file, error))
    };
    if own().next().is_none() {
        return Some(Stale::MatchesNothing(entry.clone()));
    }
    let reached: Vec<_> = own()
        .filter(|(_, e)| e.reached)
        .map(|(_, e)| e.line)
        .collect();
    let told = entry.reached_on.is_some();
    (!told && !reached.is_empty()).then(|| Stale::Reached(entry.clone(), reached))
}

impl std::fmt::Display for Sorted<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "Error returns that no case can reach: {}",
            self.excused.len()
        )?;
        for (file, error, why) in &self.excused {
            writeln!(
                f,
                "  {}\n      {}",
                place(file, error),
                why.replace('\n', "\n      ")
            )?;
        }
        writeln!(
            f,
            "\nOpen: error returns that are not reached: {}",
            self.open.len()
        )?;
        for (file, error) in &self.open {
            writeln!(f, "  {}  {}", place(file, error), error.text)?;
        }
        for stale in &self.stale {
            writeln!(f, "stale: {stale}")?;
        }
        Ok(())
    }
}

fn place(file: &str, error: &ErrorReturn) -> String {
    format!(
        "{file}:{} {} {}",
        error.line,
        error.function,
        error.errnos.join("|")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tests::coverage;
    use rstest::rstest;

    fn list(more: &str) -> Reasons {
        Reasons::read(&format!(
            "- {{file: a.c, function: f, why: no hardware, {more}}}"
        ))
        .unwrap()
    }

    #[test]
    fn a_reason_closes_what_is_open() {
        let (reasons, coverage) = (list("errno: EINVAL"), coverage(0, 0));
        insta::assert_snapshot!(reasons.sort(&coverage), @r"
        Error returns that no case can reach: 1
          a.c:4 f EINVAL
              no hardware

        Open: error returns that are not reached: 1
          a.c:5 f EIO  return -EIO;
        ");
    }

    #[rstest]
    #[case::reached("errno: EIO", "a.c f EIO: reached on line 5; remove the entry")]
    #[case::no_errno("errno: EPERM", "a.c f EPERM: the kernel has no such error return")]
    #[case::no_text(
        "errno: EINVAL, text: goto",
        "a.c f EINVAL text `goto`: the kernel has no"
    )]
    #[case::no_after(
        "errno: EINVAL, after: while",
        "a.c f EINVAL after `while`: the kernel has"
    )]
    fn an_entry_that_does_not_fit_is_stale(#[case] more: &str, #[case] says: &str) {
        let (reasons, coverage) = (list(more), coverage(0, 1));
        let stale = reasons.sort(&coverage).stale;
        assert_eq!(stale.len(), 1);
        assert!(stale[0].to_string().contains(says), "{}", stale[0]);
    }

    #[test]
    fn what_another_platform_reaches_may_be_reached() {
        let (reasons, coverage) = (list("errno: EIO, reached_on: virtio"), coverage(0, 1));
        assert!(reasons.sort(&coverage).stale.is_empty());
    }

    #[test]
    fn the_text_tells_lines_apart() {
        let (reasons, coverage) = (
            list("errno: EINVAL, text: return, after: if (x)"),
            coverage(0, 1),
        );
        let sorted = reasons.sort(&coverage);
        assert!(sorted.stale.is_empty() && sorted.open.is_empty());
    }

    #[rstest]
    #[case("- {file: a.c}", "missing field")]
    #[case("- {file: a.c, function: f, errno: E, why: w, wy: x}", "unknown field")]
    fn a_mistake_is_told(#[case] text: &str, #[case] says: &str) {
        let error = Reasons::read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(Reasons::read("# none yet\n").unwrap(), Reasons::default());
    }
}
