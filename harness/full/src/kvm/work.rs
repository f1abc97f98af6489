//! What is to be done in the emulated host, and what of it is done.
//!
//! QEMU's emulation of SVM (10.0) is not sound: where two processors run guests, or two guests run,
//! the emulated host panics sooner or later, and now and then a guest is reset or stands still. So a
//! verdict counts as soon as it was heard, what has none is run again, in another host if need be,
//! and so is a case whose guest was lost with it. Each is named in the report. What fails is not run
//! again.

use std::{collections::BTreeMap, fs, path::Path};

use runner::{record::Record, verdict::Verdict};

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
/// Walks have no verdict before the last one is taken.
const WALKS_TRIES: usize = 4;

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
    tries: usize,
    said: Vec<String>,
}

impl Work {
    /// Cases, with their records under TCG.
    #[must_use]
    pub fn cases(job: Job, here: BTreeMap<String, Record>) -> Self {
        Self {
            job,
            here,
            there: BTreeMap::new(),
            again: BTreeMap::new(),
            begun: None,
            code: None,
            tries: 0,
            said: Vec::new(),
        }
    }

    /// Walks.
    #[must_use]
    pub fn walks(job: Job) -> Self {
        Self::cases(job, BTreeMap::new())
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
    #[must_use]
    pub fn left(&self) -> usize {
        match self.job.kind {
            Kind::Cases => self.open().count(),
            Kind::Walks => usize::from(self.code.is_none()),
        }
    }

    /// The job's name and arguments for what is left; none where nothing is.
    #[must_use]
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
    ///
    /// # Errors
    /// When the job can do nothing in any host.
    pub fn take(&mut self, line: Line) -> Result<Go, FullError> {
        match line {
            Line::Cases { accel, why, .. } if accel != "kvm" => {
                let why = why.unwrap_or_else(|| "it does not say why".to_owned());
                let name = &self.job.name;
                return Ok(Go::Elsewhere(format!(
                    "`{name}` ran on {accel}, not on KVM: {why}"
                )));
            }
            Line::CaseBegins(id) => self.begun = Some(id),
            Line::Judged(record) => self.judged(*record),
            Line::Ended(name, code) => return self.ended(&name, code),
            Line::Text(text) => self.said.push(text),
            _ => {}
        }
        Ok(Go::On)
    }

    fn judged(&mut self, record: Record) {
        self.begun = None;
        // A filter takes what it is a part of, too.
        if !self.here.contains_key(&record.id) || self.there.contains_key(&record.id) {
            return;
        }
        if self.is_lost(&record) && self.tries_of(&record.id) + 1 < TRIES {
            let why = record.reason.clone().unwrap_or_default();
            let first = why.lines().next().unwrap_or_default();
            let first = format!("{}, {first}", record.verdict);
            self.again.entry(record.id).or_default().push(first);
        } else {
            self.there.insert(record.id.clone(), record);
        }
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
            // No guest came up.
            4 => return Ok(Go::Elsewhere(format!("`{name}` had no guest: {}", said()))),
            code => {
                return Err(FullError::Job {
                    name: name.to_owned(),
                    code,
                    said: said(),
                });
            }
        }
        self.tries += 1;
        // Walks that were lost with a guest of the emulated host are no divergence yet.
        let settled = code == 0 || self.tries >= WALKS_TRIES || self.diverged();
        if self.job.kind == Kind::Walks && settled {
            self.code = Some(code);
        }
        Ok(Go::On)
    }

    /// Whether the last try of walks named a transition.
    fn diverged(&self) -> bool {
        self.said.iter().any(|line| line.contains("diverges"))
    }

    /// The host was lost: the case at hand was tried.
    pub fn host_lost(&mut self) {
        if let Some(id) = self.begun.take() {
            let tries = self.again.entry(id).or_default();
            tries.push("the emulated host was lost with it".to_owned());
        }
    }

    /// Cases that were run more than once, with the reasons.
    pub fn again(&self) -> impl Iterator<Item = (&str, String)> {
        let again = self.again.iter();
        again.map(|(id, why)| (id.as_str(), why.join("; ")))
    }

    /// How both runs of the cases compare.
    #[must_use]
    pub fn compared(&self) -> Compared {
        compare(&self.here, &self.there)
    }

    /// Prints how walks ended; whether they are as the model says.
    #[must_use]
    pub fn walked(&self) -> bool {
        let name = &self.job.name;
        let last = self.said.iter().rev().find(|line| line.contains(" / "));
        let last = last.map_or("no result", String::as_str);
        println!("{name}: {last}");
        self.code == Some(0)
    }

    /// Writes what came of it under KVM: a record for each case, or what the walks said.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub fn write(&self, folder: &Path) -> Result<(), FullError> {
        let (name, lines) = match self.job.kind {
            Kind::Cases => {
                let lines = self
                    .there
                    .values()
                    .filter_map(|it| serde_json::to_string(it).ok());
                ("records.jsonl", lines.collect())
            }
            Kind::Walks => ("output.log", self.said.clone()),
        };
        let path = folder.join(name);
        let written = fs::write(&path, lines.join("\n") + "\n");
        written.map_err(|error| FullError::File {
            doing: "writing",
            path,
            error,
        })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn job(kind: Kind) -> Job {
        Job {
            name: "intel".to_owned(),
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
        Work::cases(job(Kind::Cases), records.collect())
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
    #[case::as_the_model_says(&["@end intel 0"], 0)]
    #[case::lost(&["@end intel 1"], 1)]
    #[case::diverges(&["walk 3 diverges: x", "@end intel 1"], 0)]
    fn walks_that_were_lost_are_taken_again(#[case] lines: &[&str], #[case] left: usize) {
        let mut work = Work::walks(job(Kind::Walks));
        for line in lines {
            work.take(Line::read(line)).unwrap();
        }
        assert_eq!(work.left(), left);
    }

    #[test]
    fn a_command_that_fails_is_told_with_its_last_words() {
        let mut work = cases(&["a"]);
        work.take(Line::read("error: no platform `x`")).unwrap();
        let error = work.take(Line::read("@end intel 2")).unwrap_err();
        assert!(error.to_string().contains("no platform `x`"), "{error}");
    }
}
