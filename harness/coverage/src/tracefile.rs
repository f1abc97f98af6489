//! Reads the relevant records of an lcov tracefile.

use std::collections::BTreeMap;

/// Executed code, by the path of the source file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tracefile {
    /// Files in the order of their paths.
    pub files: BTreeMap<String, FileHits>,
}

/// Executed code of one source file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileHits {
    /// Functions by their first line.
    pub functions: BTreeMap<u32, String>,
    /// How often each line with code was executed.
    pub lines: BTreeMap<u32, u64>,
    /// How often each branch was taken, by line and the rest of its name.
    pub branches: BTreeMap<(u32, String), u64>,
}

/// Why a text is not a tracefile.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line} of the tracefile, `{text}`: {problem}")]
pub struct TracefileError {
    line: usize,
    text: String,
    problem: &'static str,
}

impl FileHits {
    /// Returns the function that a line is in: the last one that begins at or before it.
    pub fn function(&self, line: u32) -> Option<&str> {
        let before = self.functions.range(..=line).next_back();
        before.map(|(_, name)| name.as_str())
    }

    fn take(&mut self, kind: &str, value: &str) -> Result<(), &'static str> {
        match kind {
            "FN" => {
                let (line, name) = value.split_once(',').ok_or("no name")?;
                // lcov 2 puts the last line between the two.
                let name = name.rsplit(',').next().unwrap_or(name);
                self.functions.insert(number(line)?, name.to_owned());
            }
            "DA" => {
                let mut parts = value.split(',');
                let line = number(parts.next().unwrap_or_default())?;
                let hits = count(parts.next().ok_or("no count")?)?;
                let sum = self.lines.entry(line).or_default();
                *sum = sum.saturating_add(hits);
            }
            "BRDA" => {
                let (name, hits) = value.rsplit_once(',').ok_or("no count")?;
                let (line, rest) = name.split_once(',').ok_or("no branch")?;
                let key = (number(line)?, rest.to_owned());
                let sum = self.branches.entry(key).or_default();
                *sum = sum.saturating_add(count(hits)?);
            }
            _ => {}
        }
        Ok(())
    }
}

fn number(text: &str) -> Result<u32, &'static str> {
    text.parse().map_err(|_| "no line number")
}

/// `-` stands for a branch whose line was never executed.
fn count(text: &str) -> Result<u64, &'static str> {
    if text == "-" {
        return Ok(0);
    }
    text.parse().map_err(|_| "no count")
}

impl Tracefile {
    /// Reads the text of a tracefile. Counts of a file that comes twice are added.
    pub fn read(text: &str) -> Result<Self, TracefileError> {
        let mut files: BTreeMap<String, FileHits> = BTreeMap::new();
        let mut current: Option<String> = None;
        for (index, line) in text.lines().enumerate() {
            let failed = |problem| TracefileError {
                line: index + 1,
                text: line.chars().take(80).collect(),
                problem,
            };
            match (line.split_once(':'), &current) {
                (Some(("SF", path)), _) => {
                    files.entry(path.to_owned()).or_default();
                    current = Some(path.to_owned());
                }
                (Some(("TN", _)), _) => {}
                (None, _) if line == "end_of_record" => current = None,
                (None, _) if line.is_empty() || line.starts_with('#') => {}
                (Some((kind, value)), Some(path)) => {
                    let file = files.entry(path.clone()).or_default();
                    file.take(kind, value).map_err(failed)?;
                }
                (Some(_), None) => return Err(failed("it does not belong to a file")),
                (None, _) => return Err(failed("no record")),
            }
        }
        Ok(Self { files })
    }

    /// Adds the counts of another run, for the files, lines and branches that this one has. What
    /// only the other kernel has is left out, so that the totals stay those of this kernel.
    pub fn join(&mut self, other: &Self) {
        for (path, file) in &mut self.files {
            if let Some(hits) = other.files.get(path) {
                add(&mut file.lines, &hits.lines);
                add(&mut file.branches, &hits.branches);
            }
        }
    }
}

fn add<K: Ord>(sums: &mut BTreeMap<K, u64>, counts: &BTreeMap<K, u64>) {
    for (key, sum) in sums {
        *sum = sum.saturating_add(counts.get(key).copied().unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const TEXT: &str = "TN:\nSF:/src/a.c\nFN:3,f\nFN:9,20,g\nFNDA:1,f\nFNF:2\nDA:4,1\nDA:10,0\n\
                        BRDA:4,0,0,1\nBRDA:4,0,1,-\nLF:2\nend_of_record\n";

    #[test]
    fn reads_what_lcov_writes() {
        let trace = Tracefile::read(TEXT).unwrap();
        let file = &trace.files["/src/a.c"];
        assert_eq!(file.lines, BTreeMap::from([(4, 1), (10, 0)]));
        let branches: Vec<_> = file.branches.values().copied().collect();
        assert_eq!(branches, [1, 0]);
        assert_eq!(file.function(2), None);
        assert_eq!(file.function(4), Some("f"));
        assert_eq!(file.function(10), Some("g"));
    }

    #[test]
    fn two_records_of_a_file_add_up() {
        let trace = Tracefile::read(&TEXT.repeat(2)).unwrap();
        assert_eq!(trace.files["/src/a.c"].lines[&4], 2);
    }

    #[test]
    fn a_joined_run_adds_counts_and_no_code() {
        let mut trace = Tracefile::read(TEXT).unwrap();
        let other = "SF:/src/a.c\nDA:10,3\nDA:11,1\nBRDA:4,0,1,2\nend_of_record\n\
                     SF:/src/b.c\nDA:1,1\nend_of_record\n";
        trace.join(&Tracefile::read(other).unwrap());
        assert_eq!(trace.files.len(), 1);
        let file = &trace.files["/src/a.c"];
        assert_eq!(file.lines, BTreeMap::from([(4, 1), (10, 3)]));
        let branches: Vec<_> = file.branches.values().copied().collect();
        assert_eq!(branches, [1, 2]);
    }

    #[rstest]
    #[case(
        "DA:1,1\n",
        "line 1 of the tracefile, `DA:1,1`: it does not belong to a file"
    )]
    #[case("SF:a\nDA:x,1\n", "no line number")]
    #[case("SF:a\nDA:1\n", "no count")]
    #[case("SF:a\nBRDA:1,0\n", "no branch")]
    #[case("SF:a\nFN:1\n", "no name")]
    #[case("hello\n", "no record")]
    fn says_what_is_malformed(#[case] text: &str, #[case] says: &str) {
        let error = Tracefile::read(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(\\PC|\n){0,200}") {
            let _ = Tracefile::read(&text);
        }

        #[test]
        fn no_record_makes_it_panic(
            records in prop::collection::vec("(SF|DA|FN|BRDA|TN|LF):[0-9a-z,-]{0,12}", 0..20)
        ) {
            let _ = Tracefile::read(&records.join("\n"));
        }
    }
}
