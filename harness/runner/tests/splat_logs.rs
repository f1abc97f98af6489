//! Complaints that kernels really printed, each provoked on purpose. The head of a log in tests/logs
//! says by what, and which compiler, flavour and release the kernel had.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{fs, path::PathBuf};

use rstest::rstest;
use runner::splat;

/// Begins the lines of the head of a log.
const HEAD: &str = "# ";

fn log(path: &PathBuf) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with(HEAD));
    lines.map(str::to_owned).collect()
}

#[rstest]
fn a_provoked_complaint_is_found_where_it_begins(#[files("tests/logs/*.log")] path: PathBuf) {
    let log = log(&path);
    let all = splat::all(&log);
    let found = all.first().map(|lines| lines[0]);
    assert_eq!(found, log.first().map(String::as_str), "{}", path.display());
}

#[rstest]
fn a_log_says_where_it_is_from(#[files("tests/logs/*.log")] path: PathBuf) {
    let text = fs::read_to_string(&path).unwrap();
    for key in [
        "# provoked by: ",
        "# kernel: Linux ",
        "# compiler: ",
        "# flavour: ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(key)),
            "{}: {key}",
            path.display()
        );
    }
}

/// What is shown of each, and whether one complaint becomes several.
#[test]
fn complaints_of_all_logs() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/logs");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|it| it.unwrap().path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|it| it == "log"));
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let log = log(&path);
        text.push_str(&format!(
            "{}\n",
            path.file_name().unwrap().to_string_lossy()
        ));
        for lines in splat::all(&log) {
            text.push_str(&format!("  {}\n", lines[0]));
        }
    }
    insta::assert_snapshot!(text);
}
