//! The stored snapshots as a whole. A target of `runner`.

#![allow(clippy::unwrap_used, reason = "a test panics to fail")]

use std::{fs, path::PathBuf};

use runner::{lab::load_corpus, options::cases_folder, root::snapshots, snapshot};

#[test]
fn every_section_belongs_to_a_case_and_a_platform() {
    let corpus = load_corpus(&cases_folder()).unwrap();
    let faults = snapshot::faults(&corpus.cases);
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn insta_reads_every_snapshot_and_writes_it_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy.snap");
    for path in files() {
        let text = fs::read_to_string(&path).unwrap();
        let read = insta::Snapshot::from_file(&path).unwrap();
        let source = path.strip_prefix(snapshots()).unwrap();
        let source = PathBuf::from("cases").join(source).with_extension("yaml");
        assert_eq!(read.metadata().source(), source.to_str());
        read.save(&copy).unwrap();
        assert_eq!(fs::read_to_string(&copy).unwrap(), text, "{path:?}");
    }
}

fn files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![snapshots()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.extension() {
                None => folders.push(path),
                Some(ending) if ending == "snap" => files.push(path),
                Some(_) => {}
            }
        }
    }
    assert!(!files.is_empty());
    files
}
