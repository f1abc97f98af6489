//! The work for the emulated host, and its results so far.
//!
//! QEMU's emulation of SVM (10.0) is not reliable. If two processors run guests, or two guests run,
//! the emulated host panics sooner or later, and at times a guest is reset or hangs. So a verdict
//! counts as soon as it is received. Cases without a verdict, and cases whose guest was lost, are
//! run again, in another host if necessary, and named in the report. Cases that fail are not run
//! again.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write,
};

use runner::{record::Record, verdict::Verdict};
use serde_json::{Value, json};

use crate::{
    FullError,
    kvm::{
        compare::{Compared, compare},
        jobs::{Job, Kind},
        lines::Line,
    },
};

/// Maximum number of tries for a case; one without a verdict then counts as a difference.
const TRIES: usize = 4;
/// Maximum number of tries for a job without verdicts before its end, such as walks.
const JOB_TRIES: usize = 8;

/// How to continue.
#[derive(Debug, PartialEq, Eq)]
pub enum Go {
    /// In this host.
    On,
    /// In another host, with the reason.
    Elsewhere(String),
}

/// A job and its results.
#[derive(Debug)]
pub struct Work {
    /// The job.
    pub job: Job,
    /// Receives the results under KVM as they arrive: records, or the output of walks.
    log: File,
    /// Cases whose transcripts differ in each run.
    volatile: BTreeSet<String>,
    /// Records under TCG.
    here: BTreeMap<String, Record>,
    /// Records under KVM.
    there: BTreeMap<String, Record>,
    /// Cases without a verdict on the kernel, with each try's reason.
    again: BTreeMap<String, Vec<String>>,
    /// The case that has begun but has no verdict yet.
    begun: Option<String>,
    /// Exit code of walks.
    code: Option<i32>,
    /// Whether the last try of walks reported that it ran on KVM.
    on_kvm: bool,
    /// Why a try of the whole job did not count.
    lost: Vec<String>,
    /// Output of the last try.
    said: Vec<String>,
}

impl Work {
    /// Returns a job of cases, with their records under TCG.
    pub fn cases(
        job: Job,
        here: BTreeMap<String, Record>,
        volatile: BTreeSet<String>,
        log: File,
    ) -> Self {
        Self {
            job,
            log,
            volatile,
            here,
            there: BTreeMap::new(),
            again: BTreeMap::new(),
            begun: None,
            code: None,
            on_kvm: false,
            lost: Vec::new(),
            said: Vec::new(),
        }
    }

    pub fn walks(job: Job, log: File) -> Self {
        Self::cases(job, BTreeMap::new(), BTreeSet::new(), log)
    }

    /// Returns the cases that have no verdict yet and are not given up.
    fn open(&self) -> impl Iterator<Item = &str> {
        let open = self.here.keys().filter(|id| {
            let judged = self.there.contains_key(*id);
            !judged && self.tries_of(id) < TRIES
        });
        open.map(String::as_str)
    }

    /// Returns the number of cases or jobs to run.
    pub fn left(&self) -> usize {
        match self.job.kind {
            Kind::Cases => self.open().count(),
            Kind::Walks => usize::from(self.code.is_none()),
        }
    }

    /// Returns the number of tries without a verdict. A host with such a try counts as one that did
    /// work.
    pub fn tries(&self) -> usize {
        self.lost.len() + self.again.values().map(Vec::len).sum::<usize>()
    }

    /// Returns the job's name and its arguments for the remaining work, or `None` if it is done.
    pub fn command(&self) -> Option<(&str, Vec<String>)> {
        if self.left() == 0 {
            return None;
        }
        let mut arguments = self.job.arguments.clone();
        match self.job.kind {
            // A filter that is an id selects that case alone.
            Kind::Cases => arguments.extend(self.open().map(str::to_owned)),
            Kind::Walks => arguments.extend(self.job.filters.iter().cloned()),
        }
        Some((&self.job.name, arguments))
    }

    /// Takes a line that the host printed during this job.
    pub fn take(&mut self, line: Line) -> Result<Go, FullError> {
        match line {
            Line::Begins(_) => {
                self.begun = None;
                self.on_kvm = false;
                self.said.clear();
            }
            Line::Cases { accel, why, .. } if accel != "kvm" => {
                let why = why.unwrap_or_else(|| "it did not print a reason".to_owned());
                let name = &self.job.name;
                return Ok(Go::Elsewhere(format!(
                    "`{name}` ran on {accel}, not on KVM: {why}"
                )));
            }
            Line::CaseBegins(id) => self.begun = Some(id),
            Line::Judged(record) => self.judged(*record)?,
            Line::Ended(name, code) => return self.ended(&name, code),
            Line::Text(text) => return self.says(text),
            _ => {}
        }
        Ok(Go::On)
    }

    /// Takes a line of walks, which print their accelerator as text.
    fn says(&mut self, text: String) -> Result<Go, FullError> {
        let accel = text.strip_prefix("accelerator: ");
        self.on_kvm |= accel == Some("kvm");
        let elsewhere = accel.is_some_and(|accel| accel != "kvm");
        if self.job.kind == Kind::Walks {
            self.keep(&text)?;
        }
        self.said.push(text.clone());
        Ok(match elsewhere {
            true => Go::Elsewhere(format!("`{}`, {text}", self.job.name)),
            false => Go::On,
        })
    }

    fn keep(&mut self, line: &str) -> Result<(), FullError> {
        let kept = writeln!(self.log, "{line}");
        kept.map_err(|error| FullError::File {
            doing: "writing the results of",
            path: self.job.name.clone().into(),
            error,
        })
    }

    fn judged(&mut self, record: Record) -> Result<(), FullError> {
        self.begun = None;
        // A filter may also select cases that have it as a part of their id.
        if !self.here.contains_key(&record.id) || self.there.contains_key(&record.id) {
            return Ok(());
        }
        if self.is_lost(&record) && self.tries_of(&record.id) + 1 < TRIES {
            let why = record.reason.clone().unwrap_or_default();
            let first = why.lines().next().unwrap_or_default();
            let first = format!("{}, {first}", record.verdict);
            self.again.entry(record.id).or_default().push(first);
            return Ok(());
        }
        let line = serde_json::to_string(&record).unwrap_or_default();
        self.keep(&line)?;
        self.there.insert(record.id.clone(), record);
        Ok(())
    }

    /// Whether the guest was lost with the case, unless it was lost in the same way under TCG.
    fn is_lost(&self, record: &Record) -> bool {
        let lost = matches!(
            record.verdict,
            Verdict::Error | Verdict::Hang | Verdict::Panic
        );
        let here = self.here.get(&record.id);
        lost && here.is_none_or(|here| here.verdict != record.verdict)
    }

    fn tries_of(&self, id: &str) -> usize {
        self.again.get(id).map_or(0, Vec::len)
    }

    fn ended(&mut self, name: &str, code: i32) -> Result<Go, FullError> {
        let said = || self.said.last().cloned().unwrap_or_default();
        match code {
            0 | 1 => {}
            // A guest that did not boot ends the run; the next try may succeed.
            4 if self.lost.len() + 1 < JOB_TRIES => {
                self.lost.push(said());
                return Ok(Go::On);
            }
            code => {
                return Err(FullError::Job {
                    name: name.to_owned(),
                    code,
                    said: said(),
                });
            }
        }
        if self.job.kind == Kind::Cases {
            return Ok(Go::On);
        }
        if !self.on_kvm {
            return Ok(Go::Elsewhere(format!(
                "`{name}` did not report that it ran on KVM"
            )));
        }
        // Walks that were lost with a guest of the emulated host do not count as a divergence yet.
        if code == 0 || self.diverged() || self.lost.len() + 1 >= JOB_TRIES {
            self.code = Some(code);
        } else {
            self.lost.push(said());
        }
        Ok(Go::On)
    }

    /// Whether the walks name a transition: `walk 3 diverges: ...`, `3 of world diverge: ...`.
    fn diverged(&self) -> bool {
        let word = |line: &String| line.contains(" diverges: ") || line.contains(" diverge: ");
        self.said.iter().any(word)
    }

    /// Records that the host was lost during the current case or walks.
    pub fn host_lost(&mut self) {
        const WHY: &str = "the emulated host was lost with it";
        if let Some(id) = self.begun.take() {
            self.again.entry(id).or_default().push(WHY.to_owned());
        }
        let walking = self.job.kind == Kind::Walks && self.on_kvm && self.code.is_none();
        if walking {
            self.lost.push(WHY.to_owned());
            self.on_kvm = false;
        }
    }

    /// Returns what was run more than once, with the reasons.
    pub fn again(&self) -> impl Iterator<Item = (&str, String)> {
        let cases = self.again.iter().map(|(id, why)| (id.as_str(), why));
        let walks = (!self.lost.is_empty()).then_some(("the job", &self.lost));
        cases.chain(walks).map(|(what, why)| (what, why.join("; ")))
    }

    /// Compares both runs of the cases.
    pub fn compared(&self) -> Compared {
        compare(&self.here, &self.there, &self.volatile)
    }

    /// Returns the line with the result of walks.
    pub fn result(&self) -> &str {
        let last = self.said.iter().rev().find(|line| line.contains(" / "));
        last.map_or("no result", String::as_str)
    }

    /// Whether the job succeeded: walks conform, or no case differs and at least one passed.
    pub fn is_proved(&self) -> bool {
        match self.job.kind {
            Kind::Walks => self.code == Some(0),
            Kind::Cases => {
                let compared = self.compared();
                compared.differences.is_empty() && compared.passed > 0
            }
        }
    }

    /// Returns the summary for `report.json`.
    pub fn summary(&self) -> Value {
        let again: BTreeMap<_, _> = self.again().collect();
        let heard = !self.there.is_empty() || self.on_kvm;
        let mut summary = json!({
            "job": self.job.name,
            "accel": heard.then_some("kvm"),
            "proved": self.is_proved(),
            "again": again,
        });
        let more = match self.job.kind {
            Kind::Walks => json!({"result": self.result()}),
            Kind::Cases => {
                let compared = self.compared();
                let told = compared.differences.iter().map(ToString::to_string);
                json!({
                    "alike": compared.alike,
                    "passed": compared.passed,
                    "differences": told.collect::<Vec<_>>(),
                })
            }
        };
        if let (Some(summary), Some(more)) = (summary.as_object_mut(), more.as_object()) {
            summary.extend(more.clone());
        }
        summary
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn job(kind: Kind) -> Job {
        Job {
            name: "intel".to_owned(),
            platform: "intel".to_owned(),
            kind,
            arguments: vec!["run-conformance".to_owned()],
            filters: vec!["stage1".to_owned()],
        }
    }

    fn judged(id: &str, verdict: &str) -> Line {
        let case = format!(
            r#"{{"event":"case","case":{{"id":"{id}","platform":"intel","verdict":"{verdict}","summary":"","clauses":[],"ms":1,"reason":"why"}}}}"#
        );
        Line::read(&case)
    }

    fn cases(ids: &[&str]) -> Work {
        let records = ids.iter().map(|id| match judged(id, "PASS") {
            Line::Judged(record) => ((*id).to_owned(), *record),
            other => panic!("{other:?}"),
        });
        let log = tempfile::tempfile().unwrap();
        Work::cases(job(Kind::Cases), records.collect(), BTreeSet::new(), log)
    }

    fn walks() -> Work {
        Work::walks(job(Kind::Walks), tempfile::tempfile().unwrap())
    }

    fn what_is_left(work: &Work) -> Vec<String> {
        work.command()
            .map_or_else(Vec::new, |(_, arguments)| arguments[1..].to_vec())
    }

    #[rstest]
    #[case::passed("PASS", &["b"])]
    #[case::failed("FAIL", &["b"])]
    #[case::complained("SPLAT", &["b"])]
    #[case::no_verdict("ERROR", &["a", "b"])]
    #[case::guest_lost("HANG", &["a", "b"])]
    fn what_has_no_verdict_is_run_again(#[case] verdict: &str, #[case] left: &[&str]) {
        let mut work = cases(&["a", "b"]);
        work.take(judged("a", verdict)).unwrap();
        assert_eq!(what_is_left(&work), left);
        assert_eq!(work.again().count(), left.len() - 1);
    }

    #[test]
    fn a_guest_that_is_lost_each_time_is_a_verdict() {
        let mut work = cases(&["a"]);
        for _ in 1..TRIES {
            work.take(judged("a", "HANG")).unwrap();
            assert_eq!(work.left(), 1);
        }
        work.take(judged("a", "HANG")).unwrap();
        assert_eq!(work.left(), 0);
        assert_eq!(work.compared().differences.len(), 1);
    }

    #[test]
    fn a_case_that_loses_the_host_is_named() {
        let mut work = cases(&["a"]);
        work.take(Line::CaseBegins("a".to_owned())).unwrap();
        work.host_lost();
        work.take(judged("a", "PASS")).unwrap();
        let again: Vec<_> = work.again().collect();
        let why = "the emulated host was lost with it".to_owned();
        assert_eq!(again, [("a", why)]);
        assert!(work.compared().differences.is_empty());
    }

    #[test]
    fn a_case_that_loses_each_host_is_given_up() {
        let mut work = cases(&["a", "b"]);
        for _ in 0..TRIES {
            work.take(Line::CaseBegins("a".to_owned())).unwrap();
            work.host_lost();
        }
        assert_eq!(what_is_left(&work), ["b"]);
        let compared = work.compared();
        let told = compared.differences[0].to_string();
        assert!(told.contains("no verdict under KVM"), "{told}");
    }

    #[test]
    fn a_run_on_something_else_proves_nothing() {
        let started =
            r#"{"event":"started","run":{"accel":"tcg","why_not_kvm":"no device"},"cases":1}"#;
        let go = cases(&["a"]).take(Line::read(started)).unwrap();
        let why = "`intel` ran on tcg, not on KVM: no device".to_owned();
        assert_eq!(go, Go::Elsewhere(why));
    }

    #[rstest]
    #[case::as_the_model_says(&["transitions on intel: 4 / 4 (kvm)", "@end intel 0"], 0, true)]
    #[case::lost(&["transitions on intel: 3 / 4 (kvm)", "@end intel 1"], 1, false)]
    #[case::a_walk_diverges(&["walk 3 diverges: x", "@end intel 1"], 0, false)]
    #[case::transitions_diverge(&["3 of resettable diverge: x", "@end intel 1"], 0, false)]
    fn walks_that_were_lost_are_taken_again(
        #[case] lines: &[&str],
        #[case] left: usize,
        #[case] proved: bool,
    ) {
        let mut work = walks();
        for line in [&["@begin intel", "accelerator: kvm"], lines].concat() {
            assert_eq!(work.take(Line::read(line)).unwrap(), Go::On);
        }
        assert_eq!((work.left(), work.is_proved()), (left, proved));
        assert_eq!(work.again().count(), left);
    }

    #[rstest]
    #[case::on_tcg(&["accelerator: tcg, not KVM: no device"])]
    #[case::on_what(&["transitions on intel: 4 / 4 (kvm)", "@end intel 0"])]
    fn walks_that_are_not_on_kvm_prove_nothing(#[case] lines: &[&str]) {
        let mut work = walks();
        let goes: Vec<_> = lines
            .iter()
            .map(|line| work.take(Line::read(line)).unwrap())
            .collect();
        assert!(matches!(goes.last(), Some(Go::Elsewhere(_))), "{goes:?}");
        assert_eq!(work.left(), 1);
    }

    #[test]
    fn a_job_without_a_guest_is_done_again_but_not_for_ever() {
        let mut work = cases(&["a"]);
        for tries in 1..JOB_TRIES {
            assert_eq!(work.take(Line::read("@end intel 4")).unwrap(), Go::On);
            assert_eq!((work.left(), work.tries()), (1, tries));
        }
        work.take(Line::read("@end intel 4")).unwrap_err();
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_last_words() {
        let mut work = cases(&["a"]);
        work.take(Line::read("error: no platform `x`")).unwrap();
        let error = work.take(Line::read("@end intel 2")).unwrap_err();
        assert!(error.to_string().contains("no platform `x`"), "{error}");
    }
}
