//! What the tests share.

#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::path::Path;

use explore::{Traversal, WalkCase, walk_cases};
use runner::{
    lab::{Lab, load_corpus},
    options::{MachineOptions, vm_images_folder},
    platform::Platform,
    record::Record,
    snapshot::Mode,
    verdict::Verdict,
};
use vm_images::Terminal;

/// The platform of the corpus.
pub fn intel() -> Platform {
    Platform::load(&vm_images_folder(), "intel").unwrap()
}

/// A lab for the cases of a folder, with its record in another one.
pub fn lab(cases: &Path, record: &Path) -> Lab {
    let machine = MachineOptions {
        record: Some(record.to_owned()),
        ..MachineOptions::default()
    };
    let corpus = load_corpus(cases).unwrap();
    Lab::open(&machine, corpus, Mode::Ignore, &Terminal::new()).unwrap()
}

/// A record of a case that was not run.
pub fn record(id: String, verdict: Verdict, failed_step: Option<usize>) -> Record {
    Record {
        verdict,
        ms: 1,
        failed_step,
        ..Record::of_machine(&id, "intel", "")
    }
}

/// The walks of some traversals from these positions on, all of which passed.
pub fn passed_from(traversals: &[Traversal], from: &[usize]) -> Vec<WalkCase> {
    let mut walked = walk_cases(traversals, from, &intel());
    for one in &mut walked {
        one.record = Some(record(one.id(), Verdict::Pass, None));
    }
    walked
}

/// The walks of some traversals, all of which passed.
pub fn passed(traversals: &[Traversal]) -> Vec<WalkCase> {
    passed_from(traversals, &vec![0; traversals.len()])
}

/// Lets a walk fail at its transition `at`.
pub fn diverge(one: &mut WalkCase, at: usize) {
    let steps = &one.script.transition_of;
    let step = steps.iter().position(|it| *it == Some(at));
    one.record = Some(record(one.id(), Verdict::Fail, Some(step.unwrap())));
}
