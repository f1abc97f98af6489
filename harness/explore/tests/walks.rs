//! Random walks: the same seed draws the same walk, and a divergence is minimized.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use std::path::Path;

use common::{intel, lab, record};
use explore::{
    Divergence, Minimizer, Move, Observability, Orders, RandomWalks, Script, Tester, WalkError,
    WalkOutcome, WalkRunner,
};
use model::{Device, Event, Iommu, Reading, Rule, Shape, World};
use rstest::rstest;
use runner::{
    lab::Lab,
    record::Record,
    run::{Cancel, run},
    verdict::Verdict,
};

/// Fails each script that has a text.
struct Fake(fn(&str) -> bool);

impl Tester for Fake {
    fn test(&mut self, script: &Script) -> Result<Record, WalkError> {
        let verdict = if (self.0)(&script.text) {
            Verdict::Fail
        } else {
            Verdict::Pass
        };
        Ok(record("walk".to_owned(), verdict, None))
    }
}

fn walks(world: World, rules: Vec<Rule>) -> RandomWalks {
    RandomWalks {
        world,
        rules,
        walks: 100,
        first: 0,
        seed: 7,
        length: 60,
    }
}

fn large() -> RandomWalks {
    walks(World::large(), Reading::Stage2.rules())
}

fn minimizer(walks: &RandomWalks) -> Minimizer {
    Minimizer {
        begin: walks.begin(),
        observability: Observability::of(&walks.world, &intel()),
    }
}

fn drawn(number: u64) -> Vec<Move> {
    large().draw(number).unwrap()
}

#[test]
fn a_seed_and_a_number_draw_one_walk() {
    let walk = drawn(3);
    assert_eq!(walk.len(), 60);
    assert_eq!(walk, drawn(3));
    assert_ne!(walk, drawn(4));
    let races = walk.iter().filter(|it| matches!(it, Move::Race(_)));
    assert_ne!(races.count(), 0);
}

/// The first walk that a kernel fails.
fn first_divergence(walks: &RandomWalks, tester: &mut dyn Tester) -> Divergence {
    let minimizer = minimizer(walks);
    for number in 0..walks.walks {
        let outcome = walks.walk(number, &minimizer, tester).unwrap();
        if let WalkOutcome::Diverges(divergence) = outcome {
            return *divergence;
        }
    }
    panic!("none of a hundred walks diverges");
}

#[test]
fn a_divergence_keeps_only_what_it_needs() {
    let attached = |text: &str| text.contains("ATTACH_IOMMUFD_PT: {on: dev2, pt_id: $ioas1}\n");
    let found = first_divergence(&large(), &mut Fake(attached));
    let moves: Vec<_> = found.moves.iter().map(ToString::to_string).collect();
    assert_eq!(
        moves,
        ["open dev2", "bind dev2 to iommu0", "attach dev2 to ioas1"]
    );
}

#[test]
fn a_race_is_taken_apart_where_it_does_not_matter() {
    let races = |text: &str| text.contains("together:");
    let found = first_divergence(&large(), &mut Fake(races));
    assert!(matches!(found.moves[..], [Move::Race(_)]), "{found}");
    let opened = |text: &str| text.contains("open: {dev3: {at: mdev.0}}\n");
    let found = first_divergence(&large(), &mut Fake(opened));
    assert!(matches!(found.moves[..], [Move::One(_)]), "{found}");
}

#[test]
fn a_race_is_a_step_of_the_case_language() {
    let minimizer = minimizer(&large());
    let begin = &minimizer.begin;
    let moves = (0..50)
        .flat_map(drawn)
        .find(|it| matches!(it, Move::Race(_)) && begin.play(*it).is_some());
    let script = Script::of_moves(
        begin,
        &[moves.expect("a race at the beginning of a walk")],
        &minimizer.observability,
        &Orders::default(),
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("walk.yaml"), &script.text).unwrap();
    let corpus = runner::lab::load_corpus(folder.path()).unwrap();
    assert_eq!(corpus.cases[0].steps.len(), script.transition_of.len());
}

/// Gives two binds that race the order of their names, or the other one.
struct Race<'a> {
    observed: &'a str,
    scripts: Vec<Script>,
}

impl Tester for Race<'_> {
    fn test(&mut self, script: &Script) -> Result<Record, WalkError> {
        self.scripts.push(script.clone());
        let ends = match self.observed {
            "success | EPERM" => "[none, EPERM]",
            "EPERM | success" => "[EPERM, none]",
            _ => "no ends that are allowed",
        };
        let mut lines = script.text.lines().filter(|line| line.contains("ends:"));
        let races = script.text.contains("together:");
        if !races || lines.any(|line| line.contains(ends)) {
            return Ok(record("walk".to_owned(), Verdict::Pass, None));
        }
        let race = script.text.lines().filter(|line| line.starts_with("  - "));
        let step = race.take_while(|line| !line.contains("together")).count();
        let mut failed = record("walk".to_owned(), Verdict::Fail, Some(step));
        failed.reason = Some(format!("  expected: else\n  observed: {}", self.observed));
        Ok(failed)
    }
}

/// Two devices of a group are bound to two iommu_fds at once, and the first is accessed.
fn race_of_binds(observed: &str) -> (Option<Divergence>, Vec<Script>) {
    let walks = walks(World::group(Shape::Functions), Reading::Stage2.rules());
    let (one, other) = (Device(0), Device(1));
    let moves = [
        Move::One(Event::Open(one)),
        Move::One(Event::Open(other)),
        Move::Race([Event::Bind(one, Iommu(0)), Event::Bind(other, Iommu(1))]),
    ];
    let mut tester = Race {
        observed,
        scripts: Vec::new(),
    };
    let divergence = minimizer(&walks).divergence(&moves, &mut tester).unwrap();
    (divergence, tester.scripts)
}

/// sysfs tells which of the devices is enabled.
#[rstest]
#[case::as_assumed("success | EPERM", 1, ["1", "0"])]
#[case::the_other_order("EPERM | success", 2, ["0", "1"])]
fn a_walk_goes_on_in_the_order_of_the_kernel(
    #[case] observed: &str,
    #[case] runs: usize,
    #[case] enabled: [&str; 2],
) {
    let (divergence, scripts) = race_of_binds(observed);
    assert!(divergence.is_none());
    assert_eq!(scripts.len(), runs);
    let text = &scripts.last().unwrap().text;
    let (_, after) = text.split_once("ends:").unwrap();
    for (device, enabled) in enabled.iter().enumerate() {
        let path = format!("vfio-pci/{{group.{device}}}/enable");
        let line = after.lines().find(|line| line.contains(&path)).unwrap();
        assert!(line.contains(&format!("text: \"{enabled}\"")), "{line}");
    }
}

#[test]
fn an_end_that_no_order_has_diverges_at_once() {
    let (divergence, scripts) = race_of_binds("success | success");
    let divergence = divergence.unwrap();
    assert_eq!(divergence.moves.len(), 3, "{divergence}");
    assert_eq!(scripts[0].assumed.len(), 1);
}

/// A lab without a corpus, as walks need it.
fn lab_for_walks(minimizer: &Minimizer, cases: &Path, record: &Path) -> Lab {
    let script = Script::of_moves(
        &minimizer.begin,
        &[],
        &minimizer.observability,
        &Orders::default(),
    );
    std::fs::write(cases.join("walk.yaml"), script.text).unwrap();
    lab(cases, record).with_processors(2)
}

/// On a real kernel, with two processors for what races.
#[test]
fn the_kernel_takes_walks_as_the_model_says() {
    let walks = large();
    let (cases, record) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = lab_for_walks(&minimizer(&walks), cases.path(), record.path());
    let cancel = Cancel::default();
    let mut runner = WalkRunner::new(&own, &cancel).unwrap();
    let minimizer = minimizer(&walks);
    for number in 0..4 {
        let outcome = walks.walk(number, &minimizer, &mut runner).unwrap();
        if let WalkOutcome::Diverges(divergence) = outcome {
            panic!("walk {number}: {divergence}");
        }
    }
}

/// On a real kernel: a rule that is made wrong is found, and what is left of the walk fails as
/// a case of its own.
#[test]
fn a_wrong_rule_is_found_and_written_as_a_case() {
    let mut rules = Reading::Stage2.rules();
    rules.retain(|rule| rule.name != "destroy: in use");
    let walks = walks(World::mdev(), rules);
    let (cases, record) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = lab_for_walks(&minimizer(&walks), cases.path(), record.path());
    let cancel = Cancel::default();
    let found = first_divergence(&walks, &mut WalkRunner::new(&own, &cancel).unwrap());
    let moves: Vec<_> = found.moves.iter().map(ToString::to_string).collect();
    let [open, bind, attach, destroy] = &moves[..] else {
        panic!("{found}");
    };
    assert_eq!(open, "open dev0");
    assert!(bind.starts_with("bind dev0 to iommu"), "{found}");
    let ioas = attach.strip_prefix("attach dev0 to ").expect(attach);
    assert_eq!(*destroy, format!("destroy {ioas}"));
    let reason = found.record.reason.unwrap();
    assert!(
        reason.contains("expected: success\n  observed: EBUSY"),
        "{reason}"
    );

    rerun(&found.script, cases.path(), record.path());
}

fn rerun(script: &Script, cases: &Path, record: &Path) {
    std::fs::write(cases.join("walk.yaml"), &script.text).unwrap();
    let own = lab(cases, record);
    let all: Vec<_> = own.corpus.cases.iter().collect();
    let summary = run(&own, &all, 1, &mut [], &Cancel::default()).unwrap();
    assert_eq!(summary.cases[0].verdict, Verdict::Fail);
}
