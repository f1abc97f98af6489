//! Whether the plan that cases follow is one that the kernel has. Where stage 3 replaces a rule of
//! stage 2, a case of stage 2 passes on its side too. That is believed only if the cases of the
//! clauses themselves are seen on that side in the same run: a kernel that only stopped to move the
//! whole group has no stage 3.

use std::collections::{BTreeMap, BTreeSet};

use case::{Case, go_together};

use crate::{
    lab::Lab,
    record::Record,
    summary::{ClauseVerdict, clause_report},
    verdict::Verdict,
};

/// Id of the record.
pub const PLAN: &str = "machine/plan";
const RULE: &str =
    "A kernel that follows the plan of a clause in place of another has the whole of it";

/// Returns the record, if a plan is followed that the kernel does not have as a whole, or one of
/// `conforms` is a clause that it differs from.
pub fn record(lab: &Lab, records: &[Record], cases: &[&Case]) -> Option<Record> {
    let mut wrong = half(records, cases);
    wrong.extend(lab.build.flavour.traits.conforms.iter().filter_map(|id| {
        let report = clause_report(&lab.corpus, id, records)?;
        let differs = matches!(
            report.verdict,
            ClauseVerdict::Differs | ClauseVerdict::Absent
        );
        let (verdict, reason) = (report.verdict, report.reason.unwrap_or_default());
        differs.then(|| format!("{id} has to conform on this flavour, and {verdict}: {reason}"))
    }));
    (!wrong.is_empty()).then(|| Record {
        verdict: Verdict::Fail,
        reason: Some(wrong.into_iter().collect::<Vec<_>>().join("\n")),
        ..Record::of_machine(PLAN, &lab.platform.name, RULE)
    })
}

/// Returns what says that the kernel has only half of a plan.
fn half(records: &[Record], cases: &[&Case]) -> BTreeSet<String> {
    let cases: BTreeMap<_, _> = cases.iter().map(|case| (case.id.as_str(), *case)).collect();
    let ran = records
        .iter()
        .filter(|record| record.verdict == Verdict::Pass);
    let ran: Vec<_> = ran
        .filter_map(|record| Some((record, *cases.get(record.id.as_str())?)))
        .collect();
    let mut wrong = BTreeSet::new();
    for (record, case) in &ran {
        let own = |clause: &String| case.clauses().any(|it| it == clause);
        for clause in record.as_planned.iter().filter(|it| !own(it)) {
            let parts = go_together(clause).into_iter();
            let because = parts.filter_map(|clause| lacks(clause, &ran));
            wrong.extend(
                because.map(|why| format!("{} ends as {clause} plans, but {why}", record.id)),
            );
        }
    }
    wrong
}

/// Returns why the kernel is not known to have what a clause plans.
fn lacks(clause: &str, ran: &[(&Record, &Case)]) -> Option<String> {
    let is_about = |case: &Case| {
        case.deviations.iter().any(|it| it.clause == clause) && case.planned().contains(clause)
    };
    let mut about = ran.iter().filter(|(_, case)| is_about(case)).peekable();
    if about.peek().is_none() {
        return Some(format!(
            "no case of {clause} passed in this run; select them as well"
        ));
    }
    let other = about.find(|(record, _)| !record.as_planned.iter().any(|it| it == clause))?;
    Some(format!("{} does not end as {clause} plans", other.0.id))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use case::{Corpus, Findings};
    use rstest::rstest;

    use super::*;

    const STEPS: &str =
        "shapes: [functions]\nsteps:\n  - IOMMU_DESTROY: {on: i, id: 1, plan: EBUSY}\n";

    fn corpus() -> Corpus {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("clauses.yaml", "S2.7b: x\nS3.1: x\nS3.3: x\n");
        write(
            "first.yaml",
            &format!("summary: x\ndiffers: {{S3.1: x}}\n{STEPS}"),
        );
        write(
            "third.yaml",
            &format!("summary: x\nabsent: {{S3.3: x}}\n{STEPS}"),
        );
        let steps = STEPS.replace("plan: EBUSY", "plan: {S3.1: EBUSY}");
        write(
            "follows.yaml",
            &format!("summary: x\nproves: [S2.7b]\n{steps}"),
        );
        Corpus::load(folder.path(), Findings::default(), false).unwrap()
    }

    /// Each case that ran, and whether it ended as planned.
    #[rstest]
    #[case::linux_today(&[("follows", ""), ("first", ""), ("third", "")], None)]
    #[case::stage_3(&[("follows", "S3.1"), ("first", "S3.1"), ("third", "S3.3")], None)]
    #[case::no_longer_moves_the_group(
        &[("follows", "S3.1"), ("first", ""), ("third", "S3.3")],
        Some("first does not end as S3.1 plans")
    )]
    #[case::half_of_stage_3(
        &[("follows", "S3.1"), ("first", "S3.1"), ("third", "")],
        Some("third does not end as S3.3 plans")
    )]
    #[case::nothing_to_compare_with(&[("follows", "S3.1")], Some("no case of S3.1 passed"))]
    fn a_kernel_has_the_whole_plan(#[case] ran: &[(&str, &str)], #[case] wanted: Option<&str>) {
        let corpus = corpus();
        let cases: Vec<_> = corpus.cases.iter().collect();
        let records: Vec<_> = ran
            .iter()
            .map(|(id, planned)| Record {
                as_planned: planned.split_whitespace().map(str::to_owned).collect(),
                ..Record::of_machine(id, "intel", "x")
            })
            .collect();
        let told: Vec<_> = half(&records, &cases).into_iter().collect();
        match wanted {
            None => assert!(told.is_empty(), "{told:?}"),
            Some(wanted) => assert!(told.join("\n").contains(wanted), "{told:?}"),
        }
    }
}
