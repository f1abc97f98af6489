//! Faults of guest, agent, QEMU and disk: each ends in the right verdict, loses no earlier
//! result and leaves no process.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use std::{
    io,
    os::unix::fs::symlink,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use common::{fixtures, lab};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rstest::rstest;
use runner::{
    event::{Event, Sink},
    lab::{Lab, LabError},
    run::{Cancel, run},
    summary::Summary,
    verdict::Verdict,
};

/// The count of running machines is one for the whole process: one test at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Calls a function for each event.
struct OnEvent<F>(F);

impl<F: FnMut(&Event)> Sink for OnEvent<F> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        (self.0)(event);
        Ok(())
    }
}

fn run_all(
    lab: &Lab,
    cancel: &Cancel,
    sink: impl FnMut(&Event) + 'static,
) -> Result<Summary, LabError> {
    let cases: Vec<_> = lab.corpus.cases.iter().collect();
    run(lab, &cases, 1, &mut [Box::new(OnEvent(sink))], cancel)
}

fn verdict(summary: &Summary, id: &str) -> Verdict {
    summary
        .cases
        .iter()
        .find(|record| record.id.ends_with(id))
        .unwrap()
        .verdict
}

#[test]
fn each_fault_has_its_verdict_and_costs_no_other_case() {
    let _alone = alone();
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&fixtures("faults"), record.path());
    let summary = run_all(&lab, &Cancel::default(), |_| {}).unwrap();
    let expected = [
        ("a-passes", Verdict::Pass),
        ("b-panics", Verdict::Panic),
        ("c-passes", Verdict::Pass),
        ("d-hangs", Verdict::Hang),
        ("e-kills", Verdict::Error),
        ("f-garbage", Verdict::Error),
        ("g-warns", Verdict::Splat),
        ("h-leaks", Verdict::Fail),
        ("i-dies", Verdict::Error),
        ("j-warns-and-dies", Verdict::Splat),
        ("k-passes", Verdict::Pass),
        ("l-starves", Verdict::Hang),
    ];
    for (id, wanted) in expected {
        assert_eq!(verdict(&summary, id), wanted, "{id}");
    }
    let kept = std::fs::read_to_string(record.path().join("records.jsonl")).unwrap();
    assert_eq!(kept.lines().count(), expected.len());
    let starved = summary.cases.iter().find(|it| it.id.ends_with("l-starves"));
    let log = starved.unwrap().kmsg.join("\n");
    assert!(log.contains("NMI"), "{log}");
    assert!(log.contains("Call Trace"), "{log}");
    assert_no_children();
}

#[test]
fn a_case_stops_at_its_first_failure() {
    let _alone = alone();
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&fixtures("fail_fast"), record.path());
    let summary = run_all(&lab, &Cancel::default(), |_| {}).unwrap();
    // Neither the case's deadline nor a new guest was needed.
    assert_eq!(verdict(&summary, "fails-first"), Verdict::Fail);
    assert_eq!(summary.cases[0].failed_step, Some(0));
    assert_eq!(verdict(&summary, "goes-well"), Verdict::Hang);
    assert!(record.path().join("console-1.log").exists());
    assert!(!record.path().join("console-2.log").exists());
    assert_no_children();
}

#[rstest]
#[case::killed(Signal::SIGKILL, Verdict::Error)]
#[case::frozen(Signal::SIGSTOP, Verdict::Hang)]
fn a_machine_that_stops_is_told_from_a_case_that_fails(
    #[case] signal: Signal,
    #[case] wanted: Verdict,
) {
    let _alone = alone();
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&fixtures("faults"), record.path());
    let case = lab
        .corpus
        .cases
        .iter()
        .find(|case| case.id.ends_with("d-hangs"))
        .unwrap();
    let (_, mut guest) = lab.boot().unwrap();
    kill(Pid::from_raw(guest.pid().cast_signed()), signal).unwrap();
    let ran = lab.run(case, &mut guest);
    assert_eq!(ran.record.verdict, wanted, "{:?}", ran.record.reason);
    assert!(ran.guest_spoiled);
    drop(guest);
    assert_no_children();
}

#[test]
fn an_interrupt_keeps_what_was_judged() {
    let _alone = alone();
    let record = tempfile::tempdir().unwrap();
    let lab = lab(&fixtures("faults"), record.path());
    let cancel = Arc::new(Cancel::default());
    let at_first = Arc::clone(&cancel);
    let summary = run_all(&lab, &cancel, move |event| {
        if matches!(event, Event::CaseEnded(_)) {
            at_first.cancel();
        }
    });
    let summary = summary.unwrap();
    assert!(summary.run.interrupted);
    assert_eq!(verdict(&summary, "a-passes"), Verdict::Pass);
    assert!(summary.cases.len() < lab.corpus.cases.len());
    let report = std::fs::read_to_string(record.path().join("report.json")).unwrap();
    assert_eq!(serde_json::from_str::<Summary>(&report).unwrap(), summary);
    assert_no_children();
}

#[test]
fn a_full_disk_ends_the_run_with_an_error() {
    let _alone = alone();
    let record = tempfile::tempdir().unwrap();
    symlink("/dev/full", record.path().join("records.jsonl")).unwrap();
    let lab = lab(&fixtures("faults"), record.path());
    let seen = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&seen);
    let error = run_all(&lab, &Cancel::default(), move |event| {
        if matches!(event, Event::CaseEnded(_)) {
            *counter.lock().unwrap() += 1;
        }
    });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("No space left on device"), "{text}");
    assert_eq!(*seen.lock().unwrap(), 0);
    assert_no_children();
}

/// No QEMU of this process is left, not even a zombie.
fn assert_no_children() {
    assert_eq!(runner::qemu::running(), 0);
}
