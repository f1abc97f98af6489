//! Old names of cases lead to new ones, and a wrong table is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use case::{Corpus, CorpusError, Findings};
use proptest::prelude::*;
use rstest::rstest;

const CASE: &str = "summary: x\ntable: {one: {}, two: {}}\nsteps:\n  - close: a\n";

fn load(renamed: &str) -> Result<Corpus, CorpusError> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("part")).unwrap();
    for name in ["case", "case-two"] {
        std::fs::write(folder.path().join(format!("part/{name}.yaml")), CASE).unwrap();
    }
    std::fs::write(folder.path().join("renamed.yaml"), renamed).unwrap();
    Corpus::load(folder.path(), Findings::default(), false)
}

#[rstest]
#[case::a_file("old/name: part/case", &["old/name/one", "old/name/two"])]
#[case::a_row("part/case/uno: part/case/one", &["part/case/uno"])]
#[case::twice("old/a: part/case\nold/b: part/case", &["old/a/one", "old/b/one", "old/a/two", "old/b/two"])]
#[case::a_row_of_a_renamed_file(
    "old/name: part/case\npart/case/uno: part/case/one",
    &["old/name/one", "part/case/uno", "old/name/uno", "old/name/two"]
)]
#[case::another_file("old/name: part/case-two", &[])]
fn a_case_knows_what_it_was_called(#[case] renamed: &str, #[case] wanted: &[&str]) {
    let corpus = load(renamed).unwrap();
    let of_file = corpus.cases.iter().filter(|case| case.file == "part/case");
    let former: Vec<_> = of_file.flat_map(|case| &case.former).collect();
    assert_eq!(former, wanted);
}

#[rstest]
#[case::old_name_is_there("part/case-two: part/case", "the case part/case-two still exists")]
#[case::old_row_is_there("part/case/two: part/case/one", "the case part/case/two still exists")]
#[case::new_name_is_not("old/name: part/cases", "did you mean `part/case`?")]
#[case::chain("old/a: old/b\nold/b: part/case", "write part/case here")]
#[case::cycle("old/a: old/b\nold/b: old/a", "old/b was renamed, too")]
#[case::itself("old/a: old/a", "old/a was renamed, too")]
#[case::no_text("old/a: [part/case]", "expected a text, found a list")]
#[case::twice(
    "old/a: part/case\nold/a: part/case-two",
    "the key `old/a` appears twice"
)]
fn a_wrong_entry_is_told_with_its_place(#[case] renamed: &str, #[case] wanted: &str) {
    let error = load(renamed).unwrap_err().to_string();
    assert!(error.contains(wanted), "{error}");
    assert!(error.contains("renamed.yaml:"), "{error}");
}

proptest! {
    #[test]
    fn no_table_makes_the_reader_panic(text in "([a-z/]{1,6}: [a-z/]{0,6}\n|[ab](/[ab]){0,2}: (part/case|[ab](/[ab]){0,2})\n){0,4}") {
        let _ = load(&text);
    }
}
