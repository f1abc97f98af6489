//! Pages of findings: their form, and that they agree with the cases.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use std::collections::BTreeSet;

use case::{Corpus, CorpusError, Findings, Project};
use common::{UNSEEN, load};
use proptest::prelude::*;
use rstest::rstest;

#[test]
fn a_page_has_a_front_matter_and_a_title() {
    let findings = load(&[("unseen", UNSEEN), ("README", "# no page")]).unwrap();
    let finding = findings.get("unseen").unwrap();
    assert_eq!(finding.title, "Nobody sees it");
    assert_eq!(
        (finding.of, finding.of.to_string()),
        (Project::Qemu, "qemu".to_owned())
    );
    assert_eq!(finding.no_case.as_deref(), Some("it takes hardware"));
    assert_eq!(findings.iter().count(), 1);
}

#[rstest]
#[case::no_front_matter(UNSEEN.strip_prefix("---\n").unwrap().to_owned())]
#[case::unknown_project(UNSEEN.replace("of: qemu", "of: qemuu"))]
#[case::unknown_key(UNSEEN.replace("no_case:", "no_cases:"))]
#[case::no_version(UNSEEN.replace("seen: QEMU 10.0.2\n", ""))]
#[case::no_release(UNSEEN.replace("seen:", "since: now\nseen:"))]
#[case::no_title(UNSEEN.replace("# Nobody", "Nobody"))]
#[case::other_sections(UNSEEN.replace("## Cases", "## Tests"))]
fn a_malformed_page_is_refused_with_its_place(#[case] page: String) {
    let thread = std::thread::current().name().unwrap().to_owned();
    let (_, case) = thread.split_once("::case_").unwrap();
    let (_, name) = case.split_once('_').unwrap();
    let Err(CorpusError::Problems { rendered }) = load(&[("page", &page)]) else {
        panic!("it is taken")
    };
    insta::assert_snapshot!(name, without_folder(&rendered.join("\n")));
}

/// Leaves the temporary folder out.
fn without_folder(text: &str) -> String {
    let start = text.find("--> ").map_or(0, |at| at + 4);
    let end = text[start..]
        .rfind("/page.md")
        .map_or(start, |at| start + at + 1);
    format!("{}{}", &text[..start], &text[end..])
}

const CASE: &str = "summary: x
xfail: {finding: unseen, leaves: x}
table: {one: {}, two: {}}
steps:
  - close: a
";

fn corpus(case: &str, page: &str) -> Corpus {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("part")).unwrap();
    std::fs::write(folder.path().join("part/case.yaml"), case).unwrap();
    let findings = load(&[("unseen", page)]).unwrap();
    Corpus::load(folder.path(), findings, false).unwrap()
}

fn check(case: &str, page: &str, elsewhere: &[&str]) -> String {
    let corpus = corpus(case, page);
    let elsewhere: BTreeSet<_> = elsewhere.iter().map(|name| (*name).to_owned()).collect();
    corpus.findings.check(&corpus, &elsewhere, false).join("\n")
}

fn seen(cases: &str) -> String {
    let page = UNSEEN.replace("no_case: it takes hardware\n", "");
    page.replace("## Cases\n", &format!("## Cases\n\n{cases}\n\n"))
}

const PASSING: &str = "summary: x\nsteps:\n  - close: a\n";

#[rstest]
#[case::a_case_that_fails(CASE, seen("`part/case` fails."), &[], "")]
#[case::a_row(CASE, seen("`part/case`, and `part/case/one`, fail."), &[], "")]
#[case::a_platform(PASSING, seen("A platform."), &["unseen"], "")]
#[case::nothing_and_says_why(PASSING, UNSEEN.to_owned(), &[], "")]
#[case::nothing(PASSING, seen("None."), &[], "no case and no platform names this finding")]
#[case::seen_after_all(CASE, UNSEEN.to_owned(), &[], "names this finding, although it has `no_case`")]
#[case::not_on_the_page(CASE, seen("Some."), &[], "the case part/case names this finding, but this page does not")]
#[case::no_such_case(CASE, seen("`part/case`, `part/cases`."), &[], "unknown case `part/cases`")]
fn pages_agree_with_the_cases(
    #[case] case: &str,
    #[case] page: String,
    #[case] elsewhere: &[&str],
    #[case] wanted: &str,
) {
    let problems = check(case, &page, elsewhere);
    match wanted {
        "" => assert_eq!(problems, ""),
        _ => assert!(problems.contains(wanted), "{problems}"),
    }
}

#[rstest]
#[case::every_row("shows: unseen", &[true, true])]
#[case::one_row("shows: {unseen: two}", &[false, true])]
#[case::some_rows("shows: [{unseen: [one, two]}]", &[true, true])]
fn a_case_that_passes_shows_a_finding(#[case] shows: &str, #[case] wanted: &[bool]) {
    let case = CASE.replace("xfail: {finding: unseen, leaves: x}", shows);
    let corpus = corpus(&case, UNSEEN);
    let shown = corpus
        .cases
        .iter()
        .map(|case| case.findings().any(|name| name == "unseen"));
    assert_eq!(shown.collect::<Vec<_>>(), wanted);
    assert!(corpus.cases.iter().all(|case| case.xfails.is_empty()));
}

#[test]
fn the_reason_of_an_xfail_is_name_and_title() {
    let xfail = corpus(CASE, UNSEEN).cases[0].xfails[0].clone();
    assert_eq!(xfail.finding, "unseen");
    assert_eq!(xfail.reason, "unseen: Nobody sees it");
}

proptest! {
    #[test]
    fn no_page_makes_the_reader_panic(text in "(---\n)?[\\PC\n`#-]{0,120}") {
        let _ = load(&[("page", &text)]);
        let _ = load(&[("page", &format!("{UNSEEN}{text}"))]).map(|findings: Findings| {
            let corpus = Corpus::default();
            findings.check(&corpus, &BTreeSet::new(), false)
        });
    }
}
