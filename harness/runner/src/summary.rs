//! The summary of a run: totals, and each clause with its verdict.

use std::collections::BTreeMap;

use case::{Case, Clause, Corpus, Deviation, Findings};
use serde::{Deserialize, Serialize};

use crate::{
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
            totals,
        }
    }

    /// Returns how the command that made the run ends.
    pub fn exit(&self) -> Exit {
        let of_kernel = |record: &Record| record.is_of_kernel() && !record.verdict.is_expected();
        match (self.run.interrupted, self.as_expected()) {
            (true, _) => Exit::Interrupted,
            (false, true) => Exit::Ok,
            (false, false) if self.cases.iter().any(of_kernel) => Exit::Kernel,
            (false, false) => Exit::Failed,
        }
    }

    /// Whether every verdict is as expected.
    pub fn as_expected(&self) -> bool {
        self.cases.iter().all(|record| record.verdict.is_expected())
    }

    /// Returns the number of cases with this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.totals.get(verdict.name()).copied().unwrap_or(0)
    }
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
    if let Some(bad) = about.iter().find(|record| !record.verdict.is_expected()) {
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
    let passed: Vec<_> = about
        .iter()
        .filter(|it| it.verdict == Verdict::Pass)
        .collect();
    let deviations: Vec<_> = passed
        .iter()
        .filter(|record| !record.conforms_to_plan)
        .filter_map(|record| cases.iter().find(|case| case.id == record.id))
        .flat_map(|case| &case.deviations)
        .filter(|deviation| deviation.clause == clause.id)
        .collect();
    match deviations.as_slice() {
        [] if passed.is_empty() => (ClauseVerdict::Untested, clause.untestable.clone()),
        [] => (ClauseVerdict::Conforms, None),
        some if some.iter().all(|deviation| deviation.absent) => {
            (ClauseVerdict::Absent, Some(reasons(some)))
        }
        some => (ClauseVerdict::Differs, Some(reasons(some))),
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
