//! The suite's own honesty: each expectation of the corpus, turned into its opposite, fails
//! at exactly its step.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use case::{Compiled, Expect, Parts, Want, WantData, WantEnd};
use common::lab;
use runner::{
    guest::Observation,
    judge::{Judgement, Known, Steps, judge},
    lab::Lab,
    options::cases_folder,
    verdict::Verdict,
};

/// Part of the corpus that is turned; every kind of expectation occurs in it.
const PART: [&str; 2] = ["stage1/", "stage2/"];

#[test]
fn a_wrong_expectation_fails_at_its_step() {
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&cases_folder(), record.path());
    let (_, mut guest) = lab.boot().unwrap();
    let mut turned = 0;
    let cases = lab.corpus.cases.iter();
    for case in cases.filter(|case| PART.iter().any(|part| case.id.starts_with(part))) {
        let Ok(compiled) = lab.compile(case, &guest) else {
            continue;
        };
        let observation = guest.run(&compiled);
        let plain = verdict(&lab, &compiled, &observation);
        if plain.verdict != Verdict::Pass {
            continue; // the conformance test reports it
        }
        for (index, wrong) in turned_around(&compiled) {
            turned += 1;
            let judged = verdict(&lab, &wrong, &observation);
            let step = format!("step {} ", compiled.checks[index].step + 1);
            assert_eq!(judged.verdict, Verdict::Fail, "{} {step}", case.id);
            let reason = judged.reason.unwrap();
            assert!(reason.starts_with(&step), "{}: {step}: {reason}", case.id);
        }
    }
    assert!(turned > 100, "only {turned} expectations were turned");
    guest.end();
}

fn verdict(lab: &Lab, compiled: &Compiled, observation: &Observation) -> Judgement {
    let steps = Steps::of(compiled, &observation.outcomes, &lab.corpus.sources);
    judge(compiled, observation, &steps, Known::default(), || None)
}

/// The plan with one expectation turned into its opposite, once for each expectation; the
/// index is that of its op.
fn turned_around(compiled: &Compiled) -> Vec<(usize, Compiled)> {
    let mut all = Vec::new();
    for (index, check) in compiled.checks.iter().enumerate() {
        let mut add = |turn: &dyn Fn(&mut Expect)| {
            let mut wrong = compiled.clone();
            turn(&mut wrong.checks[index].expect);
            all.push((index, wrong));
        };
        match &check.parts {
            Parts::Together(race) => {
                let turned =
                    (0..race.checks.len()).map(|place| (index, lost(compiled, index, place)));
                all.extend(turned);
                continue;
            }
            Parts::ByRace(ways) => {
                all.push((index, turned_by_race(compiled, index, ways.len())));
                continue;
            }
            Parts::Whole | Parts::Injected(_) => {
                add(&|expect| expect.end = opposite_end(&expect.end));
            }
        }
        for at in 0..check.expect.fields.len() {
            add(&|expect| expect.fields[at].want = opposite(&expect.fields[at].want));
        }
        if check.expect.returns.is_some() {
            add(&|expect| expect.returns = expect.returns.as_ref().map(opposite));
        }
        if check.expect.data != WantData::Anything {
            add(&|expect| expect.data = WantData::Text("nothing says this".to_owned()));
        }
    }
    all
}

/// The plan with one racer ending in no way in which it may.
fn lost(compiled: &Compiled, index: usize, place: usize) -> Compiled {
    let mut wrong = compiled.clone();
    if let Parts::Together(race) = &mut wrong.checks[index].parts {
        // The opposite of one way may be another one.
        for way in &mut race.ends {
            way[place] = WantEnd::Errno(18);
        }
    }
    wrong
}

/// The plan with the opposite of what is expected after each way in which a race may end.
fn turned_by_race(compiled: &Compiled, index: usize, ways: usize) -> Compiled {
    let mut wrong = compiled.clone();
    for way in 0..ways {
        if let Parts::ByRace(checks) = &mut wrong.checks[index].parts {
            checks[way].expect.end = opposite_end(&checks[way].expect.end);
        }
    }
    wrong
}

/// Success for an error, another error for success, landing for blocking.
fn opposite_end(end: &WantEnd) -> WantEnd {
    match end {
        WantEnd::Success => WantEnd::Errno(18), // EXDEV: nothing here gives it
        WantEnd::Refused | WantEnd::Errno(_) | WantEnd::Signal(_) => WantEnd::Success,
        WantEnd::Lands { .. } => WantEnd::Blocked,
        WantEnd::Blocked => WantEnd::Lands {
            signature: String::new(),
        },
    }
}

fn opposite(want: &Want) -> Want {
    match want {
        Want::Is(value) => Want::Not(value.clone()),
        Want::Not(value) => Want::Is(value.clone()),
        Want::Has(bits) => Want::Lacks(*bits),
        Want::Lacks(bits) => Want::Has(*bits),
    }
}
