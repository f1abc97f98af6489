//! Compares two records of the same cases.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use runner::{record::Record, verdict::Verdict};
use similar::TextDiff;

/// A case whose results differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    id: String,
    here: String,
    there: String,
    details: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id, here, there, ..
        } = self;
        write!(f, "{id}: {here} under TCG, {there} under KVM")?;
        for line in self.details.lines() {
            write!(f, "\n      {line}")?;
        }
        Ok(())
    }
}

/// Result of a comparison.
#[derive(Debug, Default)]
pub struct Compared {
    /// Number of cases with the same result.
    pub alike: usize,
    /// Of these, those that passed.
    pub passed: usize,
    /// Cases whose results differ.
    pub differences: Vec<Difference>,
}

/// Compares the records of a run under TCG with those under KVM. For cases whose transcripts differ
/// in each run, only the verdicts are compared.
pub fn compare(
    here: &BTreeMap<String, Record>,
    there: &BTreeMap<String, Record>,
    volatile: &BTreeSet<String>,
) -> Compared {
    let mut compared = Compared::default();
    for (id, first) in here {
        let difference = match there.get(id) {
            None => Some(only(first, true)),
            Some(second) => difference(first, second, !volatile.contains(id)),
        };
        match difference {
            Some(difference) => compared.differences.push(difference),
            None => {
                compared.alike += 1;
                compared.passed += usize::from(first.verdict == Verdict::Pass);
            }
        }
    }
    let rest = there.iter().filter(|(id, _)| !here.contains_key(*id));
    let rest = rest.map(|(_, record)| only(record, false));
    compared.differences.extend(rest);
    compared
}

fn only(record: &Record, here: bool) -> Difference {
    let (verdict, none) = (record.verdict.to_string(), "no verdict".to_owned());
    let (here, there) = if here {
        (verdict, none)
    } else {
        (none, verdict)
    };
    Difference {
        id: record.id.clone(),
        here,
        there,
        details: record.reason.clone().unwrap_or_default(),
    }
}

fn difference(here: &Record, there: &Record, transcripts: bool) -> Option<Difference> {
    let differs = transcripts && here.transcript != there.transcript;
    if here.verdict == there.verdict && !differs {
        return None;
    }
    let mut details = there.reason.clone().unwrap_or_default();
    if differs {
        let diff = TextDiff::from_lines(&here.transcript, &there.transcript);
        let diff = diff
            .unified_diff()
            .context_radius(1)
            .header("tcg", "kvm")
            .to_string();
        details = format!("{details}\n{diff}").trim_start().to_owned();
    }
    Some(Difference {
        id: here.id.clone(),
        here: here.verdict.to_string(),
        there: there.verdict.to_string(),
        details,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use runner::records::records;

    fn record(id: &str, verdict: &str, transcript: &str) -> String {
        format!(
            r#"{{"id":"{id}","platform":"intel","verdict":"{verdict}","summary":"","clauses":[],"ms":1,"reason":"why","transcript":"{transcript}"}}"#
        )
    }

    fn run(lines: &[String]) -> BTreeMap<String, Record> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("records.jsonl"), lines.join("\n")).unwrap();
        records(folder.path()).unwrap()
    }

    #[test]
    fn what_differs_is_named_with_its_diff() {
        let here = run(&[
            record("a/same", "PASS", "x"),
            record("b/verdict", "PASS", "x"),
            record("c/transcript", "PASS", "one\\ntwo\\n"),
            record("d/here", "SKIP", ""),
            record("f/volatile", "PASS", "0x1000"),
        ]);
        let there = run(&[
            record("a/same", "PASS", "x"),
            record("b/verdict", "FAIL", "x"),
            record("c/transcript", "PASS", "one\\n2\\n"),
            record("e/there", "PASS", ""),
            record("f/volatile", "PASS", "0x2000"),
        ]);
        let volatile = BTreeSet::from(["f/volatile".to_owned()]);
        let compared = compare(&here, &there, &volatile);
        assert_eq!((compared.alike, compared.passed), (2, 2));
        let text: Vec<_> = compared
            .differences
            .iter()
            .map(ToString::to_string)
            .collect();
        insta::assert_snapshot!(text.join("\n"));
    }
}
