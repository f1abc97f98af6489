//! Coverage of the measured files.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{scan::error_lines, tracefile::FileHits};

/// Coverage of a run, by the path of the source file in the kernel tree.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Files in the order of their paths.
    pub files: BTreeMap<String, FileCoverage>,
}

/// Coverage of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileCoverage {
    /// Lines with code, and whether they were executed.
    pub lines: BTreeMap<u32, bool>,
    pub branches: Tally,
    /// Lines with code that return an error, in order.
    pub errors: Vec<ErrorReturn>,
}

/// A line that returns an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorReturn {
    /// Its number.
    pub line: u32,
    /// The function that it is in.
    pub function: String,
    /// The errors that it can return, by name.
    pub errnos: Vec<String>,
    /// Its text.
    pub text: String,
    /// The lines before it, joined.
    #[serde(default)]
    pub before: String,
    /// Whether it was executed.
    pub reached: bool,
}

/// A number of reached items and their total.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of reached items.
    pub reached: usize,
    pub all: usize,
}

impl Tally {
    fn of(reached: impl IntoIterator<Item = bool>) -> Self {
        reached
            .into_iter()
            .fold(Self::default(), |sum, reached| Self {
                reached: sum.reached + usize::from(reached),
                all: sum.all + 1,
            })
    }

    /// Returns the percentage; 100 if there are no items.
    pub fn percent(self) -> f64 {
        if self.all == 0 {
            return 100.0;
        }
        self.reached as f64 * 100.0 / self.all as f64
    }
}

impl std::iter::Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            reached: sum.reached + one.reached,
            all: sum.all + one.all,
        })
    }
}

impl std::fmt::Display for Tally {
    /// Writes columns such as ` 12/40    30.0 %`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:>5}/{:<5} {:>5.1} %",
            self.reached,
            self.all,
            self.percent()
        )
    }
}

impl FileCoverage {
    /// Returns the coverage of a file with this source.
    pub fn new(hits: &FileHits, source: &str) -> Self {
        let carries = |line: u32| hits.lines.get(&line).map(|count| *count > 0);
        let errors = error_lines(source).into_iter().filter_map(|error| {
            Some(ErrorReturn {
                reached: carries(error.line)?,
                function: hits.function(error.line).unwrap_or("?").to_owned(),
                line: error.line,
                errnos: error.errnos,
                text: error.text,
                before: error.before,
            })
        });
        Self {
            lines: hits
                .lines
                .iter()
                .map(|(line, count)| (*line, *count > 0))
                .collect(),
            branches: Tally::of(hits.branches.values().map(|taken| *taken > 0)),
            errors: errors.collect(),
        }
    }

    pub fn line_tally(&self) -> Tally {
        Tally::of(self.lines.values().copied())
    }

    /// Error returns.
    pub fn error_tally(&self) -> Tally {
        Tally::of(self.errors.iter().map(|error| error.reached))
    }

    /// Returns the ranges of lines that were not executed, as first and last line.
    pub fn gaps(&self) -> Vec<(u32, u32)> {
        let mut gaps: Vec<(u32, u32)> = Vec::new();
        let mut open = false;
        for (line, reached) in &self.lines {
            match gaps.last_mut() {
                Some(last) if open && !reached => last.1 = *line,
                _ if !reached => gaps.push((*line, *line)),
                _ => {}
            }
            open = !reached;
        }
        gaps
    }
}

impl Coverage {
    /// Returns a table with each file and the total.
    pub fn table(&self) -> String {
        let width = self.files.keys().map(String::len).max().unwrap_or(0).max(5);
        let mut text = format!(
            "{:<width$}  {:>19}  {:>19}  {:>19}\n",
            "file", "lines", "branches", "error returns"
        );
        let row = |name: &str, lines: Tally, branches: Tally, errors: Tally| {
            format!("{name:<width$}  {lines}  {branches}  {errors}\n")
        };
        for (path, file) in &self.files {
            text += &row(path, file.line_tally(), file.branches, file.error_tally());
        }
        text + &row("total", self.lines(), self.branches(), self.errors())
    }

    /// Returns the totals in one line.
    pub fn summary(&self) -> String {
        let errors = self.errors();
        format!(
            "lines {:.1} %, branches {:.1} %, error returns {:.1} % ({} of {})",
            self.lines().percent(),
            self.branches().percent(),
            errors.percent(),
            errors.reached,
            errors.all
        )
    }

    /// Returns a table of two runs with each file and the total, this run's numbers beside the
    /// other's.
    pub fn beside(&self, name: &str, other: &Self, other_name: &str) -> String {
        let mut paths: Vec<_> = self.files.keys().chain(other.files.keys()).collect();
        paths.sort();
        paths.dedup();
        let width = paths
            .iter()
            .map(|path| path.len())
            .max()
            .unwrap_or(0)
            .max(5);
        let (name, other_name) = (format!("{name:>8}"), format!("{other_name:>9}"));
        let names = format!("{name} {other_name}");
        let mut text = format!(
            "{:<width$}  {:>20}  {:>20}  {:>20}\n{:<width$}  {names:>20}  {names:>20}  {names:>20}\n",
            "file", "lines", "branches", "error returns", ""
        );
        let row = |name: &str, [lines, branches, errors]: [(Tally, Tally); 3]| {
            let cell = |(one, other): (Tally, Tally)| {
                format!("{:>8.1} % {:>7.1} %", one.percent(), other.percent())
            };
            let cells = [lines, branches, errors].map(cell);
            format!(
                "{name:<width$}  {:>20}  {:>20}  {:>20}\n",
                cells[0], cells[1], cells[2]
            )
        };
        let nothing = FileCoverage::default();
        for path in paths {
            let one = self.files.get(path).unwrap_or(&nothing);
            let two = other.files.get(path).unwrap_or(&nothing);
            text += &row(
                path,
                [
                    (one.line_tally(), two.line_tally()),
                    (one.branches, two.branches),
                    (one.error_tally(), two.error_tally()),
                ],
            );
        }
        text + &row(
            "total",
            [
                (self.lines(), other.lines()),
                (self.branches(), other.branches()),
                (self.errors(), other.errors()),
            ],
        )
    }

    /// All lines.
    pub fn lines(&self) -> Tally {
        self.files.values().map(FileCoverage::line_tally).sum()
    }

    /// All branches.
    pub fn branches(&self) -> Tally {
        self.files.values().map(|file| file.branches).sum()
    }

    /// All error returns.
    pub fn errors(&self) -> Tally {
        self.files.values().map(FileCoverage::error_tally).sum()
    }

    /// Error returns with their files.
    pub fn error_returns(&self) -> impl Iterator<Item = (&str, &ErrorReturn)> {
        self.files
            .iter()
            .flat_map(|(path, file)| file.errors.iter().map(move |error| (path.as_str(), error)))
    }

    /// Returns each range of lines that was not executed, with the function in which it begins.
    pub fn gaps(&self) -> String {
        let mut text = String::new();
        for (path, file) in &self.files {
            for (first, last) in file.gaps() {
                text += &format!("{path}:{first}-{last}\n");
            }
        }
        text
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::tracefile::Tracefile;
    use rstest::rstest;

    const SOURCE: &str = "int f(int x)\n{\n\tif (x)\n\t\treturn -EINVAL;\n\treturn -EIO;\n}\n";

    /// A file with two error returns in function `f`: EINVAL on line 4, EIO on line 5.
    pub(crate) fn coverage(einval: u64, eio: u64) -> Coverage {
        let trace = format!(
            "SF:a.c\nFN:1,f\nDA:1,1\nDA:3,1\nDA:4,{einval}\nDA:5,{eio}\n\
             BRDA:3,0,0,{einval}\nBRDA:3,0,1,{eio}\nend_of_record\n"
        );
        let trace = Tracefile::read(&trace).unwrap();
        let file = FileCoverage::new(&trace.files["a.c"], SOURCE);
        Coverage {
            files: BTreeMap::from([("a.c".to_owned(), file)]),
        }
    }

    #[test]
    fn counts_lines_branches_and_error_returns() {
        let table = coverage(0, 1).table();
        insta::assert_snapshot!(table, @r"
        file                 lines             branches        error returns
        a.c        3/4      75.0 %      1/2      50.0 %      1/2      50.0 %
        total      3/4      75.0 %      1/2      50.0 %      1/2      50.0 %
        ");
    }

    #[test]
    fn the_summary_has_the_totals_in_one_line() {
        assert_eq!(
            coverage(0, 1).summary(),
            "lines 75.0 %, branches 50.0 %, error returns 50.0 % (1 of 2)"
        );
    }

    #[test]
    fn two_runs_stand_side_by_side() {
        let table = coverage(0, 1).beside("corpus", &coverage(0, 0), "kselftest");
        insta::assert_snapshot!(table, @r"
        file                  lines              branches         error returns
                   corpus kselftest      corpus kselftest      corpus kselftest
        a.c        75.0 %    50.0 %      50.0 %     0.0 %      50.0 %     0.0 %
        total      75.0 %    50.0 %      50.0 %     0.0 %      50.0 %     0.0 %
        ");
    }

    #[test]
    fn an_error_knows_its_function() {
        let all = coverage(0, 1);
        let (file, error) = all.error_returns().next().unwrap();
        assert_eq!((file, error.line, error.function.as_str()), ("a.c", 4, "f"));
        assert!(!error.reached);
    }

    #[test]
    fn an_error_without_code_does_not_count() {
        let trace = Tracefile::read("SF:a.c\nDA:5,1\nend_of_record\n").unwrap();
        let file = FileCoverage::new(&trace.files["a.c"], SOURCE);
        assert_eq!(file.errors.len(), 1);
    }

    #[rstest]
    #[case(0, 0, &[(4, 5)])]
    #[case(0, 1, &[(4, 4)])]
    #[case(1, 1, &[])]
    fn gaps_are_runs(#[case] einval: u64, #[case] eio: u64, #[case] want: &[(u32, u32)]) {
        assert_eq!(coverage(einval, eio).files["a.c"].gaps(), want);
    }
}
