//! What is to be done in the emulated host, and what of it is done.
//!
//! QEMU's emulation of SVM (10.0) is not sound: where two processors run guests, or two guests run,
//! the emulated host panics sooner or later, and now and then a guest is reset or stands still. So a
//! verdict counts as soon as it was heard, what has none is run again, in another host if need be,
//! and so is a case whose guest was lost with it. Each is named in the report. What fails is not run
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

/// A case that never came to a verdict in so many tries has to be looked at.
const TRIES: usize = 4;
/// The same of a job that has no verdict before its end, as walks have none.
const JOB_TRIES: usize = 8;

/// How it goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Go {
    /// In this host.
    On,
    /// In another one, for a reason.
    Elsewhere(String),
}

/// A job and what came of it.
#[derive(Debug)]
pub struct Work {
    /// What is run.
    pub job: Job,
    /// Receives what came of it under KVM as it is heard: records, or what walks say.
    log: File,
    /// Cases whose transcript is another one each time.
    volatile: BTreeSet<String>,
    /// Under TCG.
    here: BTreeMap<String, Record>,
    /// Under KVM.
    there: BTreeMap<String, Record>,
    /// Cases without a verdict on the kernel, with each try's reason.
    again: BTreeMap<String, Vec<String>>,
    /// The case that was last begun and not judged.
    begun: Option<String>,
    /// Of walks: how they ended.
    code: Option<i32>,
    /// Of walks: whether the last try says that it is on KVM.
    on_kvm: bool,
    /// Why a try of the whole job did not count.
    lost: Vec<String>,
    /// What the last try said.
    said: Vec<String>,
}

impl Work {
    /// Cases, with their records under TCG.
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

    /// Cases that have no verdict yet and are not given up.
    fn open(&self) -> impl Iterator<Item = &str> {
        let open = self.here.keys().filter(|id| {
            let judged = self.there.contains_key(*id);
            !judged && self.tries_of(id) < TRIES
        });
        open.map(String::as_str)
    }

    /// How much is to be done.
    pub fn left(&self) -> usize {
        match self.job.kind {
            Kind::Cases => self.open().count(),
            Kind::Walks => usize::from(self.code.is_none()),
        }
    }

    /// How often something was tried that came to nothing: a host in which that was done was not in
    /// vain.
    pub fn tries(&self) -> usize {
        self.lost.len() + self.again.values().map(Vec::len).sum::<usize>()
    }

    /// The job's name and arguments for what is left; none where nothing is.
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

    /// Takes a line that the host said while it was at this job.
    pub fn take(&mut self, line: Line) -> Result<Go, FullError> {
        match line {
            Line::Begins(_) => {
                self.begun = None;
                self.on_kvm = false;
                self.said.clear();
            }
            Line::Cases { accel, why, .. } if accel != "kvm" => {
                let why = why.unwrap_or_else(|| "it does not say why".to_owned());
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

    /// Walks say in words what they run on.
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
            doing: "writing what came of",
            path: self.job.name.clone().into(),
            error,
        })
    }

    fn judged(&mut self, record: Record) -> Result<(), FullError> {
        self.begun = None;
        // A filter takes what it is a part of, too.
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

    /// Whether the guest was lost with the case, other than under TCG.
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
            // A guest that did not come up ends the run: the next one may.
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
                "`{name}` does not say that it ran on KVM"
            )));
        }
        // Walks that were lost with a guest of the emulated host are no divergence yet.
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

    /// The host was lost: the case at hand was tried.
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

    /// What was run more than once, with the reasons.
    pub fn again(&self) -> impl Iterator<Item = (&str, String)> {
        let cases = self.again.iter().map(|(id, why)| (id.as_str(), why));
        let walks = (!self.lost.is_empty()).then_some(("the job", &self.lost));
        cases.chain(walks).map(|(what, why)| (what, why.join("; ")))
    }

    /// How both runs of the cases compare.
    pub fn compared(&self) -> Compared {
        compare(&self.here, &self.there, &self.volatile)
    }

    /// The line in which walks say what they came to.
    pub fn result(&self) -> &str {
        let last = self.said.iter().rev().find(|line| line.contains(" / "));
        last.map_or("no result", String::as_str)
    }

    /// Whether all is as it has to be: nothing differs, and something ran.
    pub fn is_proved(&self) -> bool {
        match self.job.kind {
            Kind::Walks => self.code == Some(0),
            Kind::Cases => {
                let compared = self.compared();
                compared.differences.is_empty() && compared.passed > 0
            }
        }
    }

    /// For `report.json`.
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
