//! What the corpus may not leave open.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{fs, path::Path};

use walkdir::WalkDir;

/// `errno: any` is for walks of a model that leaves an errno open. A case compares it exactly.
#[test]
fn no_case_takes_any_errno() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let files = WalkDir::new(cases).into_iter().flatten();
    let yaml = files.filter(|entry| entry.path().extension().is_some_and(|it| it == "yaml"));
    for entry in yaml {
        let text = fs::read_to_string(entry.path()).unwrap();
        let path = entry.path().display();
        assert!(!text.contains("errno: any"), "{path}: name the errno");
    }
}
