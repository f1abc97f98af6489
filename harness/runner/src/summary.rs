//! What a run comes to: totals, and each clause with its verdict.

use std::collections::BTreeMap;

use case::{Case, Clause};
use serde::{Deserialize, Serialize};

use crate::{
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
    /// Number of cases for each verdict.
    pub totals: BTreeMap<String, usize>,
}

/// One clause of the protocol in a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClauseReport {
    /// Its id.
    pub id: String,
    /// What it demands.
    pub text: String,
    /// How the kernel stands to it.
    pub verdict: ClauseVerdict,
    /// Why, where it does not plainly conform.
    pub reason: Option<String>,
    /// Ids of the cases that speak about it.
    pub cases: Vec<String>,
}

/// How a kernel stands to a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClauseVerdict {
    /// As the clause says.
    Conforms,
    /// Otherwise than the clause says, with a documented reason.
    Differs,
    /// The uAPI has no such thing.
    Absent,
    /// A case about it is not as expected: see there.
    Fails,
    /// No case that ran speaks about it.
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
    /// Sums up. `cases` are those of the corpus, for what they say of clauses.
    #[must_use]
    pub fn new(
        run: RunFacts,
        mut records: Vec<Record>,
        cases: &[Case],
        clauses: &[Clause],
    ) -> Self {
        records.sort_by(|a, b| a.id.cmp(&b.id));
        let clauses = clauses
            .iter()
            .map(|clause| report(clause, &records, cases))
            .collect();
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
            totals,
        }
    }

    /// Whether every verdict is as expected.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        self.cases.iter().all(|record| record.verdict.is_expected())
    }

    /// Number of cases with this verdict.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.totals.get(verdict.name()).copied().unwrap_or(0)
    }
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

/// The gravest of what the cases say: a failure, then a deviation, then conformance.
fn judge(clause: &Clause, about: &[&Record], cases: &[Case]) -> (ClauseVerdict, Option<String>) {
    if let Some(bad) = about.iter().find(|record| !record.verdict.is_expected()) {
        return (
            ClauseVerdict::Fails,
            Some(format!("{} {}", bad.verdict, bad.id)),
        );
    }
    if let Some(known) = about.iter().find(|record| record.verdict == Verdict::Xfail) {
        return (ClauseVerdict::Differs, known.reason.clone());
    }
    let passed = || {
        about
            .iter()
            .filter(|record| record.verdict == Verdict::Pass)
    };
    let deviation = passed()
        .filter(|record| !record.conforms_to_plan)
        .find_map(|record| {
            let case = cases.iter().find(|case| case.id == record.id)?;
            case.deviations
                .iter()
                .find(|deviation| deviation.clause == clause.id)
        });
    match deviation {
        Some(it) if it.absent => (ClauseVerdict::Absent, Some(it.reason.clone())),
        Some(it) => (ClauseVerdict::Differs, Some(it.reason.clone())),
        None if passed().next().is_some() => (ClauseVerdict::Conforms, None),
        None => (ClauseVerdict::Untested, clause.untestable.clone()),
    }
}
