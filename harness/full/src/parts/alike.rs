//! Compares which cases ran in two parts.

use std::collections::BTreeMap;

use runner::{record::Record, records::records, verdict::Verdict};

use crate::{FullError, parts::state::PartFolder};

/// Returns a line for each case that one of the parts skipped and the other one did not. What `part`
/// skips for an option of `without` is expected.
pub fn differing_skips(
    part: &str,
    other: &str,
    without: &[String],
) -> Result<Vec<String>, FullError> {
    let here = records(&PartFolder::of(part).record())?;
    let there = records(&PartFolder::of(other).record())?;
    let mut lines = only_skipped(&here, &there, other, without);
    lines.extend(only_skipped(&there, &here, part, &[]));
    Ok(lines)
}

/// Records of the kernel and of the machine belong to one run. They are no cases.
fn only_skipped(
    skips: &BTreeMap<String, Record>,
    runs: &BTreeMap<String, Record>,
    runs_in: &str,
    without: &[String],
) -> Vec<String> {
    let skipped = skips.values().filter(|it| it.verdict == Verdict::Skip);
    let ran = skipped.filter_map(|skip| {
        let run = runs.get(&skip.id)?;
        let why = skip.reason.as_deref().unwrap_or_default();
        let expected = without.iter().any(|option| why.contains(option.as_str()));
        (!expected && run.verdict != Verdict::Skip)
            .then(|| format!("{}: SKIP, but {} on {runs_in}: {why}", run.id, run.verdict))
    });
    ran.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(verdicts: &[(&str, &str)]) -> BTreeMap<String, Record> {
        let record = |(id, verdict): &(&str, &str)| {
            let text = format!(
                r#"{{"id":"{id}","platform":"intel","verdict":"{verdict}","summary":"","clauses":[],"ms":1,"reason":"why","transcript":""}}"#
            );
            ((*id).to_owned(), serde_json::from_str(&text).unwrap())
        };
        verdicts.iter().map(record).collect()
    }

    #[test]
    fn a_case_that_only_one_build_runs_is_named() {
        let default = run(&[
            ("a/x", "PASS"),
            ("a/y", "PASS"),
            ("a/z", "SKIP"),
            ("a/f", "PASS"),
        ]);
        let other = run(&[
            ("a/x", "PASS"),
            ("a/y", "SKIP"),
            ("a/z", "SKIP"),
            ("a/f", "XFAIL"),
        ]);
        assert_eq!(
            only_skipped(&other, &default, "intel", &[]),
            ["a/y: SKIP, but PASS on intel: why"]
        );
        assert!(only_skipped(&default, &other, "size", &[]).is_empty());
        assert!(only_skipped(&other, &default, "intel", &["why".to_owned()]).is_empty());
    }
}
