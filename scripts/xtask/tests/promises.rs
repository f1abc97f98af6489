//! A kernel without what its configuration promises: the run is red, although nothing could be
//! judged. The parts of the kernel are kept from starting by its command line.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::{
    collections::BTreeMap,
    process::{Command, Output},
};

use rstest::rstest;

fn xtask(command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .arg(command)
        .args(["--accel", "tcg"])
        .args(arguments)
        .output()
        .unwrap()
}

#[rstest]
#[case::iommufd("iommufd_init", "stage1/bind-again", "machine/feature-iommufd")]
#[case::mdev("mtty_dev_init", "stage1/device-nodes", "machine/group-mdev")]
fn what_does_not_come_out_fails_with_the_cases_that_wait(
    #[case] initcall: &str,
    #[case] cases: &str,
    #[case] id: &str,
) {
    let record = tempfile::tempdir().unwrap();
    let append = format!("initcall_blacklist={initcall}");
    let record_option = record.path().to_str().unwrap();
    let output = xtask(
        "run-conformance",
        &["--append", &append, "--record", record_option, cases],
    );
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(out.contains(id), "{out}");
    let records = runner::records::records(record.path()).unwrap();
    let failed = &records[id];
    let mut by_verdict = BTreeMap::<_, usize>::new();
    let waiting = records
        .values()
        .filter(|it| it.waits_for.as_deref() == Some(id));
    for record in waiting {
        *by_verdict.entry(record.verdict.name()).or_default() += 1;
    }
    let count = by_verdict["SKIP"];
    assert_eq!(by_verdict.len(), 1);
    assert!(
        failed
            .reason
            .as_ref()
            .unwrap()
            .contains(&format!("{count} case"))
    );
}

#[test]
fn a_world_that_was_promised_is_not_left_out() {
    let output = xtask(
        "explore",
        &["--append", "initcall_blacklist=mtty_dev_init", "mdev"],
    );
    let out = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{out}");
    assert!(
        out.contains("promised by the platform, and missing"),
        "{out}"
    );
}
