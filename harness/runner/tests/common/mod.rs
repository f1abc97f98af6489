//! What the tests that boot guests share.

#![allow(dead_code, reason = "each test uses its own part")]

use std::path::{Path, PathBuf};

use runner::{
    lab::{Lab, load_corpus},
    options::MachineOptions,
    snapshot::Mode,
};
use vm_images::Terminal;

/// Folder of test fixtures.
pub fn fixtures(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

/// A lab for the cases of a folder, with its record in another one.
pub fn lab(cases: &Path, record: &Path) -> Lab {
    let options = MachineOptions {
        record: Some(record.to_owned()),
        ..MachineOptions::default()
    };
    let corpus = load_corpus(cases).unwrap();
    Lab::open(&options, corpus, Mode::Ignore, &Terminal::new()).unwrap()
}
