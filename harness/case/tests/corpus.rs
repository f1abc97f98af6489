//! The stored schema and overview are current, and the whole corpus keeps to the schema.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use case::{Node, Tree};
use serde_json::{Map, Value, json};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases")
}

#[test]
fn the_stored_schema_is_current() {
    let stored = fs::read_to_string(cases().join("schema.json")).unwrap_or_default();
    assert!(
        stored == case::schema_text(),
        "`cargo xtask schema` writes it anew"
    );
}

#[test]
fn the_stored_overview_is_current() {
    let stored = fs::read_to_string(cases().join("README.md")).unwrap_or_default();
    let corpus = case::Corpus::load(&cases(), false).unwrap();
    assert!(
        stored == case::overview(&corpus, &cases()),
        "`cargo xtask overview` writes it anew"
    );
}

#[test]
fn the_corpus_keeps_to_the_schema() {
    let validator = jsonschema::validator_for(&case::schema()).unwrap();
    let mut seen = 0;
    for path in yaml_files(&cases()) {
        let text = fs::read_to_string(&path).unwrap();
        let value = to_json(&Node::parse(&text, 0).unwrap());
        let errors: Vec<_> = validator
            .iter_errors(&value)
            .map(|error| format!("{} at {}", error, error.instance_path))
            .collect();
        assert!(
            errors.is_empty(),
            "{}: {}",
            path.display(),
            errors.join("; ")
        );
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn the_corpus_can_be_read() {
    let corpus = case::Corpus::load(&cases(), false);
    if let Err(error) = corpus {
        panic!("{error}");
    }
}

fn yaml_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if name.ends_with(".yaml") && name != "clauses.yaml" && name != "preludes.yaml" {
            files.push(path);
        }
    }
    files
}

fn to_json(node: &Node) -> Value {
    match &node.tree {
        Tree::Null => Value::Null,
        Tree::Bool(value) => json!(value),
        Tree::Int(value) => json!(value),
        Tree::Text(value) => json!(value),
        Tree::List(items) => items.iter().map(to_json).collect(),
        Tree::Map(entries) => {
            let entries = entries
                .iter()
                .map(|(name, node)| (name.text.clone(), to_json(node)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}
