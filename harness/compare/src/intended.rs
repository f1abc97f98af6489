//! Changes that a series makes on purpose (`--intended`).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use crate::change::{Change, Kind};

/// The changes of the file.
#[derive(Debug, Default)]
pub struct Intended(Vec<Entry>);

#[derive(Debug)]
struct Entry {
    text: Text,
    cases: GlobMatcher,
}

/// An entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    /// An id, or a glob over ids.
    case: String,
    /// How it changes; every way if there is none.
    kind: Option<Kind>,
    /// Why.
    reason: String,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IntendedError {
    #[error("--intended: reading {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "--intended: {path}: {error}\neach entry has `case` (an id or a glob) and `reason`, and may \
         have `kind` (broken, mended, verdict, end, fields, came or went)"
    )]
    Malformed {
        path: PathBuf,
        /// The error with its line.
        error: Box<serde_yaml::Error>,
    },
    #[error("--intended: {path}: `{case}` is not a glob: {error}")]
    Glob {
        path: PathBuf,
        case: String,
        error: globset::Error,
    },
}

impl Intended {
    /// Reads a file.
    pub fn load(path: &Path) -> Result<Self, IntendedError> {
        let text = fs::read_to_string(path).map_err(|error| IntendedError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::read(&text, path)
    }

    fn read(text: &str, path: &Path) -> Result<Self, IntendedError> {
        // A file with comments only is null in YAML.
        let entries: Option<Vec<Text>> =
            serde_yaml::from_str(text).map_err(|error| IntendedError::Malformed {
                path: path.to_owned(),
                error: Box::new(error),
            })?;
        let entry = |text: Text| match Glob::new(&text.case) {
            Ok(glob) => Ok(Entry {
                cases: glob.compile_matcher(),
                text,
            }),
            Err(error) => Err(IntendedError::Glob {
                path: path.to_owned(),
                case: text.case,
                error,
            }),
        };
        let entries = entries.unwrap_or_default().into_iter().map(entry);
        Ok(Self(entries.collect::<Result<_, _>>()?))
    }

    /// Why a change is intended, if it is.
    pub fn reason(&self, change: &Change) -> Option<&str> {
        let entry = self.0.iter().find(|entry| entry.covers(change))?;
        Some(&entry.text.reason)
    }

    /// The entries that no change has, by their cases.
    pub fn unseen<'a>(&'a self, changes: &'a [Change]) -> impl Iterator<Item = &'a str> {
        let unseen = |entry: &&Entry| !changes.iter().any(|change| entry.covers(change));
        self.0.iter().filter(unseen).map(|it| it.text.case.as_str())
    }
}

impl Entry {
    fn covers(&self, change: &Change) -> bool {
        let kind = self.text.kind.is_none_or(|kind| kind == change.kind);
        kind && self.cases.is_match(&change.case)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn change(case: &str, kind: Kind) -> Change {
        Change {
            case: case.to_owned(),
            summary: String::new(),
            clauses: Vec::new(),
            kind,
            base: None,
            head: None,
            steps: Vec::new(),
        }
    }

    #[rstest]
    #[case::by_id("iommufd/hwpt", Kind::Broken, Some("one"))]
    #[case::by_glob("stage1/bind/row", Kind::End, Some("two"))]
    #[case::other_kind("stage1/bind/row", Kind::Broken, None)]
    #[case::other_case("stage2/bind", Kind::End, None)]
    fn an_entry_covers_changes(#[case] case: &str, #[case] kind: Kind, #[case] want: Option<&str>) {
        let text =
            "- {case: iommufd/hwpt, reason: one}\n- {case: 'stage1/*', kind: end, reason: two}\n";
        let intended = Intended::read(text, Path::new("x")).unwrap();
        assert_eq!(intended.reason(&change(case, kind)), want);
    }

    #[test]
    fn an_entry_that_no_change_has_is_told() {
        let text = "- {case: 'a/*', reason: r}\n- {case: b, reason: r}\n";
        let intended = Intended::read(text, Path::new("x")).unwrap();
        let changes = [change("a/x", Kind::End)];
        assert_eq!(intended.unseen(&changes).collect::<Vec<_>>(), ["b"]);
    }

    #[rstest]
    #[case::empty("# nothing\n", "")]
    #[case::no_reason("- {case: a}\n", "missing field `reason`")]
    #[case::unknown_kind("- {case: a, reason: r, kind: gone}\n", "kind")]
    #[case::bad_glob("- {case: 'a[', reason: r}\n", "`a[` is not a glob")]
    fn a_mistake_is_told(#[case] text: &str, #[case] want: &str) {
        let told = Intended::read(text, Path::new("x"))
            .err()
            .map_or_else(String::new, |error| error.to_string());
        assert!(told.contains(want), "{told}");
    }
}
