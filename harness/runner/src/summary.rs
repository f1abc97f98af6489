//! The summary of a run: totals, and each clause with its verdict.

use std::collections::BTreeMap;

use case::{Case, Clause, Corpus, Deviation, Findings, replaces};
use serde::{Deserialize, Serialize};

use crate::{
    baseline::BaselineReport,
    exit::Exit,
    record::{Record, RunFacts},
    verdict::Verdict,
};

/// The contents of `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Facts of the run.
    pub run: RunFacts,
    /// Cases in the order of their ids.
    pub cases: Vec<Record>,
    /// Clauses in the order of the protocol.
    pub clauses: Vec<ClauseReport>,
    /// Known deviations that the run showed, by the name of the finding.
    #[serde(default)]
    pub deviations: Vec<DeviationReport>,
    /// What became of each failure that `--baseline` knows on this platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub baseline: Vec<BaselineReport>,
    /// Number of cases for each verdict.
    pub totals: BTreeMap<String, usize>,
}

/// A finding that cases of the run showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviationReport {
    /// Its name: a page of `results/findings`.
    pub finding: String,
    /// What is wrong.
    pub title: String,
    /// The project at fault: `kernel`, `qemu` or `suite`.
    pub of: String,
    /// Ids of the cases that showed it, or were skipped for it.
    pub cases: Vec<String>,
}

/// One clause of the protocol in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseReport {
    /// Its id.
    pub id: String,
    /// What it demands.
    pub text: String,
    /// The verdict of the kernel on it.
    pub verdict: ClauseVerdict,
    /// The reason, unless the verdict is plain conformance.
    pub reason: Option<String>,
    /// Ids of the cases about it.
    pub cases: Vec<String>,
}

/// Verdict of a kernel on a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClauseVerdict {
    /// The kernel does as the clause says.
    Conforms,
    /// The kernel differs from the clause, with a documented reason.
    Differs,
    /// The uAPI does not have what the clause describes.
    Absent,
    /// A case about it has an unexpected verdict.
    Fails,
    /// No case about it ran.
    Untested,
}

impl std::fmt::Display for ClauseVerdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Conforms => "conforms",
            Self::Differs => "differs",
            Self::Absent => "absent",
            Self::Fails => "FAILS",
            Self::Untested => "untested",
        })
    }
}

impl Summary {
    /// Summarizes a run, with the clauses and findings of the corpus.
    pub fn new(run: RunFacts, mut records: Vec<Record>, corpus: &Corpus) -> Self {
        records.sort_by(|a, b| a.id.cmp(&b.id));
        let clauses = corpus.clauses.iter();
        let clauses = clauses.map(|clause| report(clause, &records, &corpus.cases));
        let clauses = clauses.collect();
        let deviations = deviations(&records, &corpus.findings);
        let count = |verdict: Verdict| {
            let number = records
                .iter()
                .filter(|record| record.verdict == verdict)
                .count();
            (verdict.name().to_owned(), number)
        };
        let totals = Verdict::ALL.into_iter().map(count).collect();
        Self {
            run,
            cases: records,
            clauses,
            deviations,
            baseline: Vec::new(),
            totals,
        }
    }

    /// Adds what became of the known failures.
    #[must_use]
    pub fn with_baseline(self, baseline: Vec<BaselineReport>) -> Self {
        Self { baseline, ..self }
    }

    /// Returns how the command that made the run ends. With `strict`, a known failure that is none
    /// any more is an error.
    pub fn exit(&self, strict: bool) -> Exit {
        let of_kernel = |record: &Record| record.is_of_kernel() && !record.verdict.is_expected();
        let useless = strict && self.baseline.iter().any(|it| it.state.is_useless());
        match (self.run.interrupted, self.as_expected() && !useless) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Ok,
            (false, false) if self.cases.iter().any(of_kernel) => Exit::Kernel,
            (false, false) => Exit::Failed,
        }
    }

    /// Whether every verdict is as expected, or its failure known.
    pub fn as_expected(&self) -> bool {
        self.cases.iter().all(Record::is_as_expected)
    }

    /// Returns the number of cases with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.totals.get(verdict.name()).copied().unwrap_or(0)
    }
}

/// Returns the report of one clause, if the corpus has it.
pub fn clause_report(corpus: &Corpus, id: &str, records: &[Record]) -> Option<ClauseReport> {
    let clause = corpus.clauses.iter().find(|clause| clause.id == id)?;
    Some(report(clause, records, &corpus.cases))
}

/// Returns the findings that the records name, each with its cases.
fn deviations(records: &[Record], findings: &Findings) -> Vec<DeviationReport> {
    let reports = findings.iter().map(|(name, finding)| {
        let shown = records
            .iter()
            .filter(|record| record.findings.iter().any(|it| it == name));
        DeviationReport {
            finding: name.to_owned(),
            title: finding.title.clone(),
            of: finding.of.to_string(),
            cases: shown.map(|record| record.id.clone()).collect(),
        }
    });
    reports.filter(|report| !report.cases.is_empty()).collect()
}

fn report(clause: &Clause, records: &[Record], cases: &[Case]) -> ClauseReport {
    let about: Vec<_> = records
        .iter()
        .filter(|record| record.clauses.contains(&clause.id))
        .collect();
    let (verdict, reason) = judge(clause, &about, cases);
    ClauseReport {
        id: clause.id.clone(),
        text: clause.text.clone(),
        verdict,
        reason,
        cases: about.iter().map(|record| record.id.clone()).collect(),
    }
}

/// Returns the gravest verdict of the cases: a failure, then a deviation, then conformance.
fn judge(clause: &Clause, about: &[&Record], cases: &[Case]) -> (ClauseVerdict, Option<String>) {
    if let Some(bad) = about.iter().find(|record| !record.is_no_failure()) {
        return (
            ClauseVerdict::Fails,
            Some(format!("{} {}", bad.verdict, bad.id)),
        );
    }
    if let Some(waiting) = about.iter().find(|record| record.waits_for.is_some()) {
        let id = waiting.waits_for.as_deref().unwrap_or_default();
        return (
            ClauseVerdict::Fails,
            Some(format!("{} waits for {id}", waiting.id)),
        );
    }
    if let Some(known) = about.iter().find(|record| record.verdict == Verdict::Xfail) {
        return (ClauseVerdict::Differs, known.reason.clone());
    }
    let passed = about.iter().filter(|it| it.verdict == Verdict::Pass);
    let mut said = Said::default();
    for record in passed {
        said.hear(clause, record, cases);
    }
    said.verdict(clause)
}

/// What the cases that passed say of a clause.
#[derive(Debug, Default)]
struct Said<'a> {
    /// Number of cases that show it to hold.
    holds: usize,
    /// Ids of the cases in which the kernel follows the plan of the clause.
    planned: Vec<&'a str>,
    /// Deviations of cases that have a plan for the clause, which the kernel does not follow.
    unplanned: Vec<&'a Deviation>,
    /// Deviations of the other cases. They say nothing if the kernel does elsewhere what is planned.
    others: Vec<&'a Deviation>,
}

impl<'a> Said<'a> {
    fn hear(&mut self, clause: &Clause, record: &'a Record, cases: &'a [Case]) {
        let planned = &record.as_planned;
        if planned.contains(&clause.id) {
            self.planned.push(&record.id);
            return;
        }
        let case = cases.iter().find(|case| case.id == record.id);
        let deviations = case.map_or(&[][..], |case| &case.deviations).iter();
        let own: Vec<_> = deviations.filter(|it| it.clause == clause.id).collect();
        let mut others = planned.iter();
        match (own.is_empty(), planned.is_empty()) {
            // In this case the kernel follows the plan of another clause.
            (false, false) => {}
            (true, false) if others.any(|it| replaces(it, &clause.id)) => {}
            (true, false) => self.holds += 1,
            // What only the headers of this kernel have is more than Linux has today.
            (true, true) if case.is_some_and(|case| case.needs.is_of_headers()) => {
                self.planned.push(&record.id);
            }
            (true, true) => self.holds += 1,
            (false, true) if case.is_some_and(|case| case.planned().contains(&clause.id)) => {
                self.unplanned.extend(own);
            }
            (false, true) => self.others.extend(own),
        }
    }

    fn verdict(&self, clause: &Clause) -> (ClauseVerdict, Option<String>) {
        if self.planned.is_empty() {
            let all: Vec<_> = self.others.iter().chain(&self.unplanned).copied().collect();
            return match all.as_slice() {
                [] if self.holds == 0 => (ClauseVerdict::Untested, clause.untestable.clone()),
                [] => (ClauseVerdict::Conforms, None),
                some if some.iter().all(|deviation| deviation.absent) => {
                    (ClauseVerdict::Absent, Some(reasons(some)))
                }
                some => (ClauseVerdict::Differs, Some(reasons(some))),
            };
        }
        match self.unplanned.as_slice() {
            [] => (ClauseVerdict::Conforms, None),
            some => {
                let (planned, why) = (self.planned.join(", "), reasons(some));
                let why = format!("as planned only in {planned}; elsewhere: {why}");
                (ClauseVerdict::Differs, Some(why))
            }
        }
    }
}

/// Joins the reasons, each once, in the order of the cases.
fn reasons(deviations: &[&Deviation]) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for deviation in deviations {
        if !reasons.contains(&deviation.reason.as_str()) {
            reasons.push(&deviation.reason);
        }
    }
    reasons.join("; ")
}
