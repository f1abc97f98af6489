//! `--splat-allow`: a complaint of the kernel that the file names is told and not judged, any other
//! is. The complaints are provoked by a case that writes to the kernel log.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::{fs, process::Command};

use rstest::rstest;
use runner::{record::Record, verdict::Verdict};

const CASE: &str = "
summary: The kernel complains
snapshot: none
steps:
  - write_file: {path: /dev/kmsg, text: 'BUG: provoked'}
";
const ALLOWED: &str = "- {text: 'BUG: provoked', reason: a test, until: 9999-12-31}";
const OVER: &str = "- {text: 'BUG: provoked', reason: a test, until: 2001-01-01}";
const OTHER: &str = "- {text: 'BUG: other', reason: a test, until: 9999-12-31}";

#[rstest]
#[case::allowed(ALLOWED, true, "was seen 1 times")]
#[case::over(OVER, false, "was allowed until 2001-01-01, and is judged again")]
#[case::other(OTHER, false, "was not seen")]
fn only_what_the_file_names_is_allowed(
    #[case] allow: &str,
    #[case] fine: bool,
    #[case] told: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let [cases, record, file] = ["cases", "record", "allow.yaml"].map(|it| folder.path().join(it));
    fs::create_dir_all(cases.join("provoke")).unwrap();
    fs::write(cases.join("provoke/complaint.yaml"), CASE).unwrap();
    fs::write(&file, allow).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["run-conformance", "--accel", "tcg"])
        .arg("--cases")
        .arg(&cases)
        .arg("--record")
        .arg(&record)
        .arg("--splat-allow")
        .arg(&file)
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    let records = runner::records::records(&record).unwrap();
    // The log of a case is read up to its end or a bit later.
    let complains =
        |record: &Record| record.verdict == Verdict::Splat || record.id == "machine/log";
    assert_eq!(!records.values().any(complains), fine, "{out}");
    assert!(out.contains(told), "{out}");
}
