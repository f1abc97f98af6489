//! The pages of findings agree with the cases and platforms, and their index is current.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use case::Corpus;
use runner::{findings, lab::load_corpus, options::cases_folder};

fn corpus() -> Corpus {
    load_corpus(&cases_folder()).unwrap()
}

#[test]
fn every_finding_is_shown_or_says_why_not() {
    let problems = findings::problems(&corpus(), false).unwrap();
    assert!(problems.is_empty(), "{}", problems.join("\n\n"));
}

#[test]
fn the_stored_index_is_current() {
    let path = runner::root::findings().join("README.md");
    let stored = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        stored == findings::index(&corpus()),
        "`cargo xtask overview` writes it anew"
    );
}
