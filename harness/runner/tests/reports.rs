//! Every output of one and the same run, from one model of what a run can contain.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

use std::{
    collections::BTreeMap,
    io::Write,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use case::{At, Case, Clause, Corpus, Deviation, Findings, Needs};
use rstest::{fixture, rstest};
use runner::{
    baseline::{BaselineReport, KnownFailure, State},
    event::{Event, Sink},
    exit::Exit,
    newer::Newer,
    record::{InGuest, Record, RunFacts},
    report::{Detail, Human, Json, Ktap},
    summary::{ClauseVerdict, Summary},
    verdict::Verdict,
};
use serde_json::Value;

/// One case of each verdict, and the clauses they speak about.
struct Model {
    events: Vec<Event>,
    summary: Summary,
}

#[fixture]
fn model() -> Model {
    model_of(Verdict::ALL.into_iter().map(record).collect())
}

/// A run in which the FAIL is known, and in which a failure that was known is mended.
#[fixture]
fn known() -> Model {
    let mut records: Vec<_> = Verdict::ALL.into_iter().map(record).collect();
    records[1].known = Some("the series of #1".to_owned());
    let failure = |case: &str| KnownFailure {
        case: case.to_owned(),
        platform: None,
        verdict: Verdict::Fail,
        shows: Vec::new(),
        reason: "the series of #1".to_owned(),
        until: None,
    };
    let report = |case, state| BaselineReport {
        failure: failure(case),
        state,
    };
    let reports = [
        report("x/fail", State::Known),
        report("x/pass", State::Mended),
        report("y/elsewhere", State::NotRun),
    ];
    let mut model = model_of(records);
    model.summary = model.summary.with_baseline(reports.to_vec());
    if let Some(Event::Ended(summary)) = model.events.last_mut() {
        **summary = model.summary.clone();
    }
    model
}

/// A run of a newer kernel, which mends one known deviation and changes one transcript.
fn newer() -> Model {
    let mut improved = record(Verdict::Xpass);
    improved.newer = Some(Newer::Improvement);
    let mut changed = record(Verdict::Fail);
    changed.newer = Some(Newer::Change);
    model_of(vec![record(Verdict::Pass), improved, changed])
}

fn model_of(records: Vec<Record>) -> Model {
    let cases: Vec<_> = records.iter().map(case).collect();
    let clauses = [
        clause("S1.1", None),
        clause("S1.2", Some("no way to see it")),
        clause("S1.3", None),
        clause("S2.0", None),
        clause("S2.1", None),
    ];
    let corpus = Corpus {
        cases,
        clauses: clauses.to_vec(),
        findings: findings(),
        ..Corpus::default()
    };
    let summary = Summary::new(facts(), records.clone(), &corpus);
    let mut events = vec![
        Event::Started {
            facts: Box::new(facts()),
            folders: BTreeMap::from([("x".to_owned(), records.len())]),
        },
        Event::GuestUp {
            boot: 1,
            took: Duration::from_millis(2900),
            instead: None,
        },
    ];
    events.extend(
        records
            .into_iter()
            .map(|record| Event::CaseEnded(Box::new(record))),
    );
    let instead = Some("PANIC in x/panic".to_owned());
    events.push(Event::GuestUp {
        boot: 2,
        took: Duration::from_millis(3000),
        instead,
    });
    events.push(Event::Ended(Box::new(summary.clone())));
    Model { events, summary }
}

fn facts() -> RunFacts {
    RunFacts {
        counters: None,
        started: "2026-01-31T12-00-00Z".to_owned(),
        platform: "intel".to_owned(),
        kernel: "7.3.4".to_owned(),
        build: String::new(),
        image: "0123".to_owned(),
        configuration: None,
        qemu: "QEMU emulator version 10.0.2".to_owned(),
        lacking: vec!["group sriov is left out: it has no device `igb`".to_owned()],
        allowed: Vec::new(),
        unknown_names: vec!["IOMMU_FOO".to_owned(), "iommu_foo".to_owned()],
        accel: "tcg".to_owned(),
        why_not_kvm: Some("there is no /dev/kvm".to_owned()),
        jobs: 2,
        shuffle: None,
        interrupted: false,
        ms: 4321,
    }
}

fn record(verdict: Verdict) -> Record {
    let name = verdict.name().to_lowercase();
    let clause = match verdict {
        Verdict::Pass => "S1.1",
        Verdict::Skip => "S1.2",
        Verdict::Xfail => "S2.1",
        _ => "S2.0",
    };
    Record {
        id: format!("x/{name}"),
        former_ids: Vec::new(),
        platform: "intel".to_owned(),
        verdict,
        summary: format!("a case that ends in {name}"),
        clauses: vec![clause.to_owned(), "S1.3".to_owned()]
            [..=usize::from(verdict == Verdict::Pass)]
            .to_vec(),
        ms: 12 + 1000 * (verdict as u64),
        guest: (verdict == Verdict::Fail).then(|| InGuest {
            number: 3,
            after: Some("x/before".to_owned()),
        }),
        waits_for: None,
        reason: (verdict != Verdict::Pass).then(|| format!("why # it is {name}\nsecond line")),
        findings: match verdict {
            Verdict::Xfail => vec!["map-writes-read-only".to_owned()],
            Verdict::Skip => vec!["qemu-forgets".to_owned()],
            _ => Vec::new(),
        },
        known: None,
        newer: None,
        as_planned: Vec::new(),
        failed_step: None,
        kmsg: Vec::new(),
        races: Vec::new(),
        transcript: String::new(),
    }
}

/// Of the kernel, of QEMU, and one that no case of the run shows.
fn findings() -> Findings {
    let folder = tempfile::tempdir().unwrap();
    for (name, of, title) in [
        (
            "map-writes-read-only",
            "kernel",
            "A map writes what may only be read",
        ),
        ("qemu-forgets", "qemu", "QEMU forgets an entry"),
        ("unseen", "kernel", "Nobody sees it"),
    ] {
        let page = format!(
            "---\nof: {of}\nseen: x\n---\n# {title}\n## What\n## Evidence\n## Cases\n## Mend\n"
        );
        std::fs::write(folder.path().join(format!("{name}.md")), page).unwrap();
    }
    Findings::load(folder.path(), false).unwrap()
}

fn case(record: &Record) -> Case {
    let deviation = Deviation {
        clause: "S1.3".to_owned(),
        absent: true,
        reason: "nothing reports it".to_owned(),
    };
    Case {
        id: record.id.clone(),
        file: record.id.clone(),
        former: Vec::new(),
        at: At::default(),
        summary: record.summary.clone(),
        proves: record.clauses.clone(),
        deviations: vec![deviation],
        needs: Needs::default(),
        shape: None,
        xfails: Vec::new(),
        shows: Vec::new(),
        snapshot: true,
        fail_fast: false,
        timeout_ms: 1,
        steps: Vec::new(),
    }
}

fn clause(id: &str, untestable: Option<&str>) -> Clause {
    Clause {
        id: id.to_owned(),
        text: format!("what {id} demands"),
        untestable: untestable.map(str::to_owned),
    }
}

/// A writer whose contents can be read after the sink is gone.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn output(events: &[Event], sink: impl FnOnce(Shared) -> Box<dyn Sink>) -> String {
    let shared = Shared::default();
    let mut sink = sink(shared.clone());
    for event in events {
        sink.take(event).unwrap();
    }
    let bytes = shared.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[rstest]
fn clauses_take_the_gravest_of_what_their_cases_say(model: Model) {
    let verdicts: BTreeMap<_, _> = model
        .summary
        .clauses
        .iter()
        .map(|clause| (clause.id.as_str(), clause.verdict))
        .collect();
    assert_eq!(verdicts["S1.1"], ClauseVerdict::Conforms);
    assert_eq!(verdicts["S1.2"], ClauseVerdict::Untested);
    assert_eq!(verdicts["S1.3"], ClauseVerdict::Absent);
    assert_eq!(verdicts["S2.0"], ClauseVerdict::Fails);
    assert_eq!(verdicts["S2.1"], ClauseVerdict::Differs);
}

#[rstest]
fn ktap(model: Model) {
    insta::assert_snapshot!(output(&model.events, |to| Box::new(Ktap::new(to))));
}

#[rstest]
#[case::brief(Detail::Brief)]
#[case::verbose(Detail::Verbose)]
fn human(model: Model, #[case] detail: Detail) {
    let text = output(&model.events, |to| {
        Box::new(Human::new(to, "results/runs/x".to_owned(), detail))
    });
    insta::assert_snapshot!(format!("human_{detail:?}").to_lowercase(), text);
}

#[rstest]
fn known_failures_are_told_apart(#[from(known)] model: Model) {
    let ktap = output(&model.events, |to| Box::new(Ktap::new(to)));
    assert!(
        ktap.contains("ok 2 x/fail # XFAIL FAIL, known: the series of 1\n"),
        "{ktap}"
    );
    let text = output(&model.events, |to| {
        Box::new(Human::new(to, "results/runs/x".to_owned(), Detail::Brief))
    });
    insta::assert_snapshot!("human_known", text);
}

#[test]
fn a_newer_kernel_is_green_whatever_it_mends_or_changes() {
    let model = newer();
    assert_eq!(model.summary.exit(false), Exit::Ok);
    let text = output(&model.events, |to| {
        Box::new(Human::new(to, "results/runs/x".to_owned(), Detail::Brief))
    });
    insta::assert_snapshot!("human_newer", text);
    insta::assert_snapshot!(
        "ktap_newer",
        output(&model.events, |to| Box::new(Ktap::new(to)))
    );
}

#[test]
fn a_known_failure_is_green_until_it_is_mended() {
    let mut failed = record(Verdict::Fail);
    failed.known = Some("why".to_owned());
    let model = model_of(vec![record(Verdict::Pass), failed]);
    assert_eq!(model.summary.exit(true), Exit::Ok);
    let mended = known().summary.baseline;
    let summary = model.summary.with_baseline(mended);
    assert_eq!(summary.exit(false), Exit::Ok);
    assert_eq!(summary.exit(true), Exit::Failed);
}

#[rstest]
fn json_lines_are_objects_with_an_event_each(model: Model) {
    let text = output(&model.events, |to| Box::new(Json(to)));
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), model.events.len());
    assert!(lines.iter().all(|line| line["event"].is_string()));
}

/// What `results/README.md` promises of `report.json`.
#[rstest]
fn the_report_has_its_documented_shape(model: Model) {
    let report = serde_json::to_value(&model.summary).unwrap();
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&report),
        ["cases", "clauses", "deviations", "run", "totals"]
    );
    for key in ["id", "platform", "verdict", "clauses", "ms", "reason"] {
        assert!(report["cases"][0].get(key).is_some(), "cases[].{key}");
    }
    for key in ["id", "verdict", "cases"] {
        assert!(report["clauses"][0].get(key).is_some(), "clauses[].{key}");
    }
    for key in ["finding", "title", "of", "cases"] {
        assert!(
            report["deviations"][0].get(key).is_some(),
            "deviations[].{key}"
        );
    }
    let totals = report["totals"].as_object().unwrap();
    assert_eq!(totals.len(), Verdict::ALL.len());
    assert_eq!(totals["PASS"], 1);
}

/// The kernel's own parser is the oracle of the KTAP writer.
#[rstest]
fn kunit_py_reads_the_ktap(model: Model) {
    let image = vm_images::obtain(
        &vm_images::Source::Release(None),
        &runner::options::default_build().unwrap(),
        &vm_images::Silent,
    )
    .unwrap();
    let Some(source) = image.source else {
        panic!("the image has no kernel source with kunit.py")
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.ktap");
    std::fs::write(&path, output(&model.events, |to| Box::new(Ktap::new(to)))).unwrap();
    let json = folder.path().join("report.json");
    let parsed = Command::new("python3")
        .arg(source.join("tools/testing/kunit/kunit.py"))
        .arg("parse")
        .arg(format!("--json={}", json.display()))
        .arg(&path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&parsed.stdout);
    let counts = counts(&std::fs::read_to_string(json).unwrap());
    assert_eq!(
        counts,
        BTreeMap::from([("PASS", 2), ("SKIP", 1), ("FAIL", 6)]),
        "{text}"
    );
}

fn counts(json: &str) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    let value: Value = serde_json::from_str(json).unwrap();
    let mut groups = vec![&value];
    while let Some(group) = groups.pop() {
        groups.extend(group["sub_groups"].as_array().into_iter().flatten());
        for case in group["test_cases"].as_array().into_iter().flatten() {
            let known = ["PASS", "FAIL", "SKIP", "ERROR"];
            let status = known
                .into_iter()
                .find(|status| case["status"] == **status)
                .unwrap();
            *counts.entry(status).or_insert(0) += 1;
        }
    }
    counts
}
