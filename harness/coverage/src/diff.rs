//! Compares the coverage of two runs.

use std::{collections::BTreeMap, fmt};

use crate::measure::{Coverage, ErrorReturn, Tally};

/// Error returns by keys that do not change when lines are inserted above them: file, function,
/// text, and a number among equal ones.
type Identified<'a> = BTreeMap<(&'a str, &'a str, &'a str, usize), &'a ErrorReturn>;

/// The second run compared with the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diff {
    totals: [(&'static str, Tally, Tally); 3],
    gained: Vec<String>,
    lost: Vec<String>,
    lines: Vec<String>,
}

impl Diff {
    pub fn new(first: &Coverage, second: &Coverage) -> Self {
        let (before, after) = (identified(first), identified(second));
        Self {
            totals: [
                ("lines", first.lines(), second.lines()),
                ("branches", first.branches(), second.branches()),
                ("error returns", first.errors(), second.errors()),
            ],
            gained: only_in(&after, &before),
            lost: only_in(&before, &after),
            lines: lines(first, second),
        }
    }
}

fn identified(coverage: &Coverage) -> Identified<'_> {
    let mut all = Identified::new();
    for (file, error) in coverage.error_returns() {
        let alike = |nth| (file, error.function.as_str(), error.text.as_str(), nth);
        let nth = (0..).find(|nth| !all.contains_key(&alike(*nth)));
        all.insert(alike(nth.unwrap_or_default()), error);
    }
    all
}

/// Returns the error returns that only `one` reached, even if `other` does not have them.
fn only_in(one: &Identified, other: &Identified) -> Vec<String> {
    let reached = |all: &Identified, key| all.get(key).is_some_and(|error| error.reached);
    let only = one
        .iter()
        .filter(|(key, error)| error.reached && !reached(other, key));
    let mut only: Vec<_> = only.map(|((file, ..), error)| (*file, *error)).collect();
    only.sort_by_key(|(file, error)| (*file, error.line));
    let shown = |(file, error): (&str, &ErrorReturn)| {
        format!("{file}:{} {}  {}", error.line, error.function, error.text)
    };
    only.into_iter().map(shown).collect()
}

/// Returns the files in which the number of executed lines differs.
fn lines(first: &Coverage, second: &Coverage) -> Vec<String> {
    let tally = |coverage: &Coverage, path: &str| {
        coverage
            .files
            .get(path)
            .map(crate::FileCoverage::line_tally)
    };
    let mut paths: Vec<_> = first.files.keys().chain(second.files.keys()).collect();
    paths.sort();
    paths.dedup();
    let changed = paths.into_iter().filter_map(|path| {
        let before = tally(first, path).unwrap_or_default();
        let after = tally(second, path).unwrap_or_default();
        (before != after).then(|| {
            let (b, a) = (before.reached, after.reached);
            format!("{path}: {b} of {} became {a} of {}", before.all, after.all)
        })
    });
    changed.collect()
}

impl fmt::Display for Diff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, before, after) in &self.totals {
            writeln!(f, "{what:<14} {before}  ->  {after}")?;
        }
        for (what, list) in [
            ("Newly reached error returns", &self.gained),
            ("Lost error returns", &self.lost),
            ("Executed lines", &self.lines),
        ] {
            writeln!(f, "\n{what}: {}", if list.is_empty() { "none" } else { "" })?;
            for line in list {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::tests::coverage;

    #[test]
    fn names_what_is_new_and_what_is_lost() {
        let diff = Diff::new(&coverage(0, 1), &coverage(1, 0));
        assert_eq!(diff.gained, ["a.c:4 f  return -EINVAL;"]);
        assert_eq!(diff.lost, ["a.c:5 f  return -EIO;"]);
        assert!(diff.lines.is_empty());
    }

    #[test]
    fn a_moved_line_is_the_same() {
        let (first, mut second) = (coverage(0, 1), coverage(0, 1));
        for error in &mut second.files.get_mut("a.c").unwrap().errors {
            error.line += 100;
        }
        let diff = Diff::new(&first, &second);
        assert!(diff.gained.is_empty() && diff.lost.is_empty());
    }

    #[test]
    fn reads_as_a_text() {
        let text = Diff::new(&coverage(0, 0), &coverage(0, 1)).to_string();
        insta::assert_snapshot!(text, @r"
        lines              2/4      50.0 %  ->      3/4      75.0 %
        branches           0/2       0.0 %  ->      1/2      50.0 %
        error returns      0/2       0.0 %  ->      1/2      50.0 %

        Newly reached error returns: 
          a.c:5 f  return -EIO;

        Lost error returns: none

        Executed lines: 
          a.c: 2 of 4 became 3 of 4
        ");
    }
}
