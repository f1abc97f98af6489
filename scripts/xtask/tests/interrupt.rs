//! Ctrl-C, as a user gives it: the machine is gone at once, the record stays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use nix::{
    fcntl::{Flock, FlockArg},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rstest::rstest;

#[test]
fn ctrl_c_ends_qemu_and_keeps_the_record() {
    let record = tempfile::tempdir().unwrap();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../harness/runner/tests/faults");
    let mut run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args([
            "run-conformance",
            "-v",
            "--jobs",
            "1",
            "a-passes",
            "d-hangs",
            "--cases",
        ])
        .arg(cases)
        .arg("--record")
        .arg(record.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stdout.take().unwrap()).lines();
    // The first case is judged; the second one hangs.
    lines
        .find(|line| line.as_ref().unwrap().starts_with("PASS"))
        .unwrap()
        .unwrap();
    let machines = children_of(run.id());
    assert!(!machines.is_empty());
    kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGINT).unwrap();
    let status = run.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let report = fs::read_to_string(record.path().join("report.json")).unwrap();
    assert!(report.contains("\"interrupted\": true"), "{report}");
    assert!(report.contains("a-passes"), "{report}");
    for machine in machines {
        assert!(
            !Path::new("/proc").join(&machine).exists(),
            "process {machine} is left"
        );
    }
}

/// A build, or another run's, takes minutes.
#[rstest]
#[case(Signal::SIGINT)]
#[case(Signal::SIGTERM)]
fn a_signal_ends_the_wait_for_a_lock(#[case] signal: Signal) {
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("iommufd-conformance");
    fs::create_dir(&folder).unwrap();
    let lock = fs::File::create(folder.join("build-images.lock")).unwrap();
    let lock = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["run-conformance", "--accel", "tcg", "stage1"])
        .env("XDG_CACHE_HOME", cache.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let waits = |line: &std::io::Result<String>| line.as_ref().unwrap().starts_with("waiting");
    lines.find(waits).unwrap().unwrap();
    kill(Pid::from_raw(run.id().cast_signed()), signal).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    drop(lock);
}

/// Process ids whose parent is this one.
fn children_of(parent: u32) -> Vec<String> {
    let mut children = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        if status
            .lines()
            .any(|line| line == format!("PPid:\t{parent}"))
        {
            children.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    children
}
