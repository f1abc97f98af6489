//! The stored schema and overview are current, and the whole corpus keeps to the schema.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use case::{Corpus, Findings, Folder, Node, Tree};
use rstest::rstest;
use serde_json::{Map, Value, json};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases")
}

fn corpus() -> Corpus {
    let findings = Findings::load(&cases().join("../results/findings"), false).unwrap();
    Corpus::load(&cases(), findings, false).unwrap()
}

#[test]
fn the_stored_schema_is_current() {
    let stored = fs::read_to_string(cases().join("schema.json")).unwrap_or_default();
    assert!(
        stored == case::schema_text(&corpus().preludes),
        "`cargo xtask schema` writes it anew"
    );
}

#[test]
fn the_stored_reference_is_current() {
    let stored = fs::read_to_string(cases().join("REFERENCE.md")).unwrap_or_default();
    assert!(
        stored == case::reference(),
        "`cargo xtask reference` writes it anew"
    );
}

/// They run one after the other in a guest that other cases do not get.
#[test]
fn no_case_that_reorders_devices_looks_at_their_order() {
    const LIST: &str = "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO";
    let corpus = corpus();
    let (mut lists, mut reorders) = (0, 0);
    for case in &corpus.cases {
        let steps = case.steps.iter().flat_map(|step| step.all());
        let mut calls = steps.filter_map(|step| step.ioctl());
        let list = calls.any(|call| call.made().name == LIST);
        assert!(!(list && case.reorders_devices()), "{}", case.id);
        lists += usize::from(list);
        reorders += usize::from(case.reorders_devices());
    }
    assert!(
        lists > 0 && reorders > 0,
        "{lists} lists, {reorders} removals"
    );
}

#[test]
fn every_step_says_what_it_is() {
    for key in case::step_keys() {
        let text = case::describe_step(key).unwrap();
        assert!(text.contains("\n- "), "{key}: {text}");
    }
    let wrong = case::describe_step("cuont_faults").unwrap_err();
    assert!(wrong.to_string().contains("count_faults"), "{wrong}");
}

#[test]
fn the_stored_overview_is_current() {
    let stored = fs::read_to_string(cases().join("OVERVIEW.md")).unwrap_or_default();
    assert!(
        stored == case::overview(&corpus(), &cases()),
        "`cargo xtask overview` writes it anew"
    );
}

#[test]
fn the_corpus_keeps_to_the_schema() {
    let validator = jsonschema::validator_for(&case::schema(&corpus().preludes)).unwrap();
    let files = yaml_files(&cases());
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).unwrap();
        let value = to_json(&Node::parse(&text, 0).unwrap());
        let errors = validator.iter_errors(&value);
        wrong.extend(errors.map(|error| format!("{}: {}", path.display(), error.instance_path)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_step_of_the_corpus_may_have_another_key() {
    let mut schema = case::schema(&corpus().preludes);
    let step = json!({ "$ref": "#/$defs/step", "$defs": schema["$defs"].take() });
    let validator = jsonschema::validator_for(&step).unwrap();
    let keys: HashSet<_> = case::step_keys().collect();
    let (mut seen, mut taken) = (0, Vec::new());
    for path in yaml_files(&cases()) {
        let text = fs::read_to_string(&path).unwrap();
        let mut steps = Vec::new();
        let case = to_json(&Node::parse(&text, 0).unwrap());
        steps_within(&case, &keys, &mut steps);
        for step in steps {
            seen += 1;
            let spoiled = with_another_key(&step);
            if validator.is_valid(&spoiled) {
                taken.push(format!("{}: {spoiled}", path.display()));
            }
        }
    }
    assert!(seen > 4000, "{seen} steps");
    assert!(taken.is_empty(), "{}", taken.join("\n"));
}

#[rstest]
#[case::a_name(json!({ "use": "bound" }), true)]
#[case::with_an_argument(json!({ "use": { "close": { "dev": "a" } } }), true)]
#[case::two(json!({ "use": ["identity", { "close": { "dev": "a" } }] }), true)]
#[case::of_a_row(json!({ "use": "row.before" }), true)]
#[case::no_such_prelude(json!({ "use": "nosuch" }), false)]
#[case::no_such_argument(json!({ "use": { "close": { "device": "a" } } }), false)]
#[case::a_key_of_its_ioctl(json!({ "use": { "access rw": { "access_rw.length": 1 } } }), true)]
#[case::no_key_of_its_ioctl(json!({ "use": { "access rw": { "nosuch": 1 } } }), false)]
#[case::a_value_of_its_ioctl(json!({ "use": { "access rw": { "errno": "ENOSUCH" } } }), false)]
fn a_prelude_and_its_arguments_are_known(#[case] step: Value, #[case] valid: bool) {
    let mut schema = case::schema(&corpus().preludes);
    let schema = json!({ "$ref": "#/$defs/step", "$defs": schema["$defs"].take() });
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(validator.is_valid(&step), valid, "{step}");
}

#[test]
fn no_prelude_takes_an_argument_that_it_does_not_have() {
    let mut schema = case::schema(&corpus().preludes);
    let preludes = schema["$defs"]["use"]["anyOf"][2]["properties"].take();
    let names: Vec<_> = preludes.as_object().unwrap().keys().cloned().collect();
    let schema = case::schema(&corpus().preludes);
    let schema = json!({ "$ref": "#/$defs/step", "$defs": schema["$defs"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(names.len() > 200, "{} preludes", names.len());
    for name in names {
        let with = |arguments: Value| json!({ "use": { name.as_str(): arguments } });
        assert!(validator.is_valid(&with(json!({}))), "{name}");
        let made_up = with(json!({ "made up": "by a test" }));
        assert!(!validator.is_valid(&made_up), "{name}");
    }
}

#[test]
fn every_key_of_the_schema_has_a_description() {
    let schema = case::schema(&corpus().preludes);
    let mut silent = Vec::new();
    find_silent(&schema, &schema, "", &mut silent);
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

/// Finds keys of mappings that neither they nor their definition describe.
fn find_silent(all: &Value, value: &Value, path: &str, silent: &mut Vec<String>) {
    let within: Vec<(String, &Value)> = match value {
        Value::Array(items) => items.iter().map(|item| ("[]".to_owned(), item)).collect(),
        Value::Object(entries) => entries.iter().map(|(key, it)| (key.clone(), it)).collect(),
        _ => Vec::new(),
    };
    // The key of a mapping may be called `properties`, too.
    let keys = path.ends_with("/properties") && !path.ends_with("/properties/properties");
    // A condition is not shown to anybody.
    for (key, inner) in within.into_iter().filter(|(key, _)| key != "if") {
        let place = format!("{path}/{key}");
        if keys && !described(all, inner) {
            silent.push(place.clone());
        }
        find_silent(all, inner, &place, silent);
    }
}

fn described(all: &Value, value: &Value) -> bool {
    let own = value["description"].as_str();
    let place = value["$ref"].as_str().and_then(|it| it.strip_prefix('#'));
    let definition = place.and_then(|place| all.pointer(place));
    let text = own.or(definition.and_then(|it| it["description"].as_str()));
    text.is_some_and(|text| !text.is_empty())
}

/// The steps that a case is made of, wherever they are.
fn steps_within(value: &Value, known: &HashSet<&str>, steps: &mut Vec<Value>) {
    match value {
        Value::Array(items) => items
            .iter()
            .for_each(|item| steps_within(item, known, steps)),
        Value::Object(entries) => {
            let is_step = entries.len() == 1;
            if is_step && entries.keys().all(|key| known.contains(key.as_str())) {
                steps.push(value.clone());
            }
            entries
                .values()
                .for_each(|value| steps_within(value, known, steps));
        }
        _ => {}
    }
}

/// A body that is no mapping becomes one.
fn with_another_key(step: &Value) -> Value {
    let mut step = step.clone();
    for body in step.as_object_mut().unwrap().values_mut() {
        if !body.is_object() {
            *body = json!({});
        }
        body["made up"] = json!("by a test");
    }
    step
}

#[test]
fn every_key_of_the_schema_is_read() {
    let schema = case::schema(&corpus().preludes);
    let (folder, findings) = (Folder::default(), Findings::default());
    for ioctl in uapi::ioctls() {
        let body = &schema["$defs"][ioctl.name]["properties"];
        let keys = body.as_object().unwrap().keys();
        for key in keys.filter(|key| !["..", "on"].contains(&key.as_str())) {
            let text = format!(
                "summary: x\nsteps:\n- {}: {{on: a, {key}: {{}}}}\n",
                ioctl.name
            );
            let node = Node::parse(&text, 0).unwrap();
            let problems = case::read_file("x", &node, &folder, &findings).err();
            for problem in problems.unwrap_or_default() {
                let unknown = matches!(problem.kind, case::ProblemKind::UnknownKey { .. });
                assert!(!unknown, "{}: {key}: {problem:?}", ioctl.name);
            }
        }
    }
}

/// Files in folders of cases that are not case files.
const OTHERS: [&str; 4] = [
    "clauses.yaml",
    "preludes.yaml",
    "folder.yaml",
    "renamed.yaml",
];

fn yaml_files(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap().map(Result::unwrap) {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if name.ends_with(".yaml") && !OTHERS.contains(&name.as_str()) {
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

/// So that `race-of` selects all of them, for `cargo xtask full races` and for people.
#[test]
fn the_cases_that_race_are_called_so() {
    for case in corpus().cases {
        let name = case.file.rsplit('/').next().unwrap();
        assert_eq!(case.races(), name.starts_with("race-of-"), "{}", case.id);
    }
}
