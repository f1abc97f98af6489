//! Random walks through address spaces: the same seed gives the same case, and a rule of the oracle
//! that is made wrong is found.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use common::{lab, record};
use explore::{Script, Tester, WalkError, WalkRunner, addresses::AddressWalks};
use model::address::Flaw;
use runner::{record::Record, run::Cancel, verdict::Verdict};

const fn walks(flaw: Option<Flaw>) -> AddressWalks {
    AddressWalks {
        moves: 6000,
        first: 0,
        seed: 7,
        length: 60,
        flaw,
    }
}

/// Fails each script that has a text.
struct Fake(&'static str);

impl Tester for Fake {
    fn test(&mut self, script: &Script) -> Result<Record, WalkError> {
        let verdict = match script.text.contains(self.0) {
            true => Verdict::Fail,
            false => Verdict::Pass,
        };
        Ok(record("walk".to_owned(), verdict, None))
    }
}

#[test]
fn a_divergence_keeps_only_what_it_needs() {
    let found = (0..100).find_map(|number| {
        let walk = walks(None).walk(number, &mut Fake("op: MOCK_DOMAIN_REPLACE, id: $mock1"));
        walk.unwrap()
    });
    let found = found.unwrap();
    let moves: Vec<_> = found.moves.iter().map(ToString::to_string).collect();
    assert_eq!(moves.len(), 2, "{found}");
    assert!(moves[0].starts_with("attach mock1 to ioas"), "{found}");
    assert!(moves[1].starts_with("move mock1 to "), "{found}");
}

#[test]
fn walks_are_cases() {
    for number in 0..50 {
        let script = walks(None).script(number);
        assert_eq!(script, walks(None).script(number));
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("walk.yaml"), &script.text).unwrap();
        let corpus = runner::lab::load_corpus(folder.path()).unwrap();
        assert_eq!(corpus.cases[0].steps.len(), script.transition_of.len());
    }
}

/// On a real kernel. Nothing diverges without a flaw, and something does with each.
#[test]
fn each_rule_of_the_oracle_is_looked_at() {
    let (cases, record) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(cases.path().join("walk.yaml"), walks(None).script(0).text).unwrap();
    let own = lab(cases.path(), record.path()).with_processors(2);
    let cancel = Cancel::default();
    let mut runner = WalkRunner::new(&own, &cancel).unwrap();
    for number in 0..8 {
        let record = runner.test(&walks(None).script(number)).unwrap();
        assert_eq!(
            record.verdict,
            Verdict::Pass,
            "{number}: {:?}",
            record.reason
        );
    }
    let unseen: Vec<_> = Flaw::ALL
        .into_iter()
        .filter(|flaw| !is_seen(*flaw, &mut runner))
        .collect();
    assert!(unseen.is_empty(), "no walk diverges with {unseen:?}");
}

/// Whether one of the walks that the flaw changes diverges.
fn is_seen(flaw: Flaw, runner: &mut WalkRunner<'_>) -> bool {
    let (right, wrong) = (walks(None), walks(Some(flaw)));
    let changed = (0..2000).filter(|it| right.script(*it) != wrong.script(*it));
    changed.take(6).any(|number| {
        let record = runner.test(&wrong.script(number)).unwrap();
        record.verdict == Verdict::Fail
    })
}
