//! What the tests share.

#![allow(dead_code, reason = "each test uses its own part")]

use std::path::Path;

use runner::{
    lab::{Lab, load_corpus},
    options::{MachineOptions, vm_images_folder},
    platform::Platform,
    snapshot::Mode,
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
