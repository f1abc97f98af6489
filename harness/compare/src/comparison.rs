//! What differs between two runs.

use std::collections::{BTreeMap, BTreeSet};

use runner::record::{Record, RunFacts};
use serde::Serialize;

use crate::{change::Change, intended::Intended, side::Side, step::steps};

/// What differs between a base and a head.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    pub base: Ran,
    pub head: Ran,
    /// Number of cases that both judged.
    pub judged: usize,
    /// Number of those that saw the same.
    pub alike: usize,
    /// Ioctls of the uAPI that only the head has.
    pub ioctls_came: Vec<String>,
    /// Ioctls of the uAPI that only the base has.
    pub ioctls_went: Vec<String>,
    /// How calls end in another way, over all cases.
    pub ends: Vec<EndChange>,
    /// What changed otherwise than intended, by kind.
    pub changes: Vec<Change>,
    /// What changed as intended.
    pub intended: Vec<IntendedChange>,
    /// Entries of `--intended` that nothing has shown, by their cases.
    pub unseen: Vec<String>,
}

/// One of the runs.
#[derive(Debug, Clone, Serialize)]
pub struct Ran {
    /// What the user gave.
    pub name: String,
    pub facts: RunFacts,
}

/// A way in which calls of one kind end otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndChange {
    /// The ioctl, or the kind of step.
    pub what: String,
    pub base: String,
    pub head: String,
    /// The cases that showed it.
    pub cases: Vec<String>,
}

/// A change that `--intended` has.
#[derive(Debug, Clone, Serialize)]
pub struct IntendedChange {
    pub reason: String,
    #[serde(flatten)]
    pub change: Change,
}

impl Comparison {
    /// Compares two runs.
    pub fn new(base: &Side, head: &Side, intended: &Intended) -> Self {
        let all = changes(base, head);
        let unseen = intended.unseen(&all).map(str::to_owned).collect();
        let ends = ends(&all);
        let (before, after) = (ioctls(base), ioctls(head));
        let only = |these: &BTreeSet<String>, those| these.difference(those).cloned().collect();
        let judged = judged_by_both(base, head);
        let differing = all.iter().filter(|it| it.is_of_both()).count();
        let (as_intended, changes) = split(all, intended);
        Self {
            base: Ran::of(base),
            head: Ran::of(head),
            judged,
            alike: judged.saturating_sub(differing),
            ioctls_came: only(&after, &before),
            ioctls_went: only(&before, &after),
            ends,
            changes,
            intended: as_intended,
            unseen,
        }
    }

    /// Whether nothing changed but what was intended.
    pub fn is_as_intended(&self) -> bool {
        self.changes.is_empty()
    }
}

impl Ran {
    fn of(side: &Side) -> Self {
        Self {
            name: side.name.clone(),
            facts: side.facts.clone(),
        }
    }
}

/// Returns all changes, by kind and case.
fn changes(base: &Side, head: &Side) -> Vec<Change> {
    let ids: BTreeSet<&String> = base.records.keys().chain(head.records.keys()).collect();
    let between = |id: &String| Change::between(base.records.get(id), head.records.get(id));
    let mut changes: Vec<Change> = ids.into_iter().filter_map(between).collect();
    changes.sort_by(|a, b| (a.kind, &a.case).cmp(&(b.kind, &b.case)));
    changes
}

fn judged_by_both(base: &Side, head: &Side) -> usize {
    let ran = |record: &Record| record.verdict.ran();
    let both =
        |(id, record): &(&String, &Record)| ran(record) && head.records.get(*id).is_some_and(ran);
    base.records.iter().filter(both).count()
}

fn split(all: Vec<Change>, intended: &Intended) -> (Vec<IntendedChange>, Vec<Change>) {
    let mut as_intended = Vec::new();
    let mut others = Vec::new();
    for change in all {
        match intended.reason(&change).map(str::to_owned) {
            Some(reason) => as_intended.push(IntendedChange { reason, change }),
            None => others.push(change),
        }
    }
    (as_intended, others)
}

/// Returns the ioctls that the kernel answered with anything but `ENOTTY`.
fn ioctls(side: &Side) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for record in side.records.values() {
        for step in steps(&record.transcript) {
            found.extend(step.ioctls().into_iter().map(str::to_owned));
        }
    }
    found
}

/// Joins the ends that changed, those with most cases first.
fn ends(changes: &[Change]) -> Vec<EndChange> {
    let mut cases: BTreeMap<(String, String, String), BTreeSet<String>> = BTreeMap::new();
    for change in changes {
        for step in &change.steps {
            if let Some((base, head)) = &step.ends {
                let key = (step.what().to_owned(), base.clone(), head.clone());
                cases.entry(key).or_default().insert(change.case.clone());
            }
        }
    }
    let joined = cases
        .into_iter()
        .map(|((what, base, head), cases)| EndChange {
            what,
            base,
            head,
            cases: cases.into_iter().collect(),
        });
    let mut ends: Vec<EndChange> = joined.collect();
    ends.sort_by(|a, b| {
        b.cases
            .len()
            .cmp(&a.cases.len())
            .then_with(|| a.what.cmp(&b.what))
    });
    ends
}

#[cfg(test)]
pub mod tests {
    use runner::verdict::Verdict;

    use super::*;
    use crate::change::Kind;

    /// A run of some cases: id, verdict, reason, transcript.
    pub fn side(name: &str, cases: &[(&str, Verdict, &str, &str)]) -> Side {
        let record = |(id, verdict, reason, transcript): &(&str, Verdict, &str, &str)| {
            let record = Record {
                verdict: *verdict,
                reason: (!reason.is_empty()).then(|| (*reason).to_owned()),
                transcript: (*transcript).to_owned(),
                ..Record::of_machine(id, "intel", "a rule")
            };
            ((*id).to_owned(), record)
        };
        Side {
            name: name.to_owned(),
            facts: facts(name),
            records: cases.iter().map(record).collect(),
        }
    }

    fn facts(kernel: &str) -> RunFacts {
        RunFacts {
            started: "2026-11-29T00-00-00Z".to_owned(),
            platform: "intel".to_owned(),
            kernel: kernel.to_owned(),
            image: "0".to_owned(),
            configuration: None,
            qemu: "QEMU emulator version 10.0.2".to_owned(),
            build: String::new(),
            lacking: Vec::new(),
            unknown_names: Vec::new(),
            allowed: Vec::new(),
            accel: "tcg".to_owned(),
            why_not_kvm: None,
            jobs: 2,
            shuffle: None,
            interrupted: false,
            ms: 1000,
            counters: None,
        }
    }

    /// Two runs that differ in each way.
    pub fn two() -> (Side, Side) {
        let base = [
            ("a/alike", Verdict::Pass, "", "1 open /dev/iommu: success\n"),
            (
                "a/broken",
                Verdict::Pass,
                "",
                "1 IOMMU_DESTROY on iommu: success\n",
            ),
            (
                "a/end",
                Verdict::Pass,
                "",
                "1 IOMMU_IOAS_MAP on iommu: EINVAL\n2 close: success\n",
            ),
            (
                "a/field",
                Verdict::Pass,
                "",
                "1 IOMMU_IOAS_MAP on iommu: success {iova: 0x1}\n",
            ),
            (
                "a/mended",
                Verdict::Splat,
                "WARNING: x",
                "1 close: success\n",
            ),
            (
                "a/new",
                Verdict::Skip,
                "needs Linux 7.3: IOMMU_HW_QUEUE_ALLOC",
                "",
            ),
            (
                "a/none",
                Verdict::Pass,
                "",
                "1 IOMMU_VEVENTQ_ALLOC on iommu: ENOTTY\n",
            ),
        ];
        let head = [
            ("a/alike", Verdict::Pass, "", "1 open /dev/iommu: success\n"),
            (
                "a/broken",
                Verdict::Fail,
                "step 1 (IOMMU_DESTROY)\\n  expected: success",
                "1 IOMMU_DESTROY on iommu: EBUSY\n",
            ),
            (
                "a/end",
                Verdict::Pass,
                "",
                "1 IOMMU_IOAS_MAP on iommu: EBUSY\n2 close: success\n",
            ),
            (
                "a/field",
                Verdict::Pass,
                "",
                "1 IOMMU_IOAS_MAP on iommu: success {iova: 0x2}\n",
            ),
            ("a/mended", Verdict::Pass, "", "1 close: success\n"),
            (
                "a/new",
                Verdict::Pass,
                "",
                "1 IOMMU_HW_QUEUE_ALLOC on iommu: EINVAL\n",
            ),
            (
                "a/none",
                Verdict::Pass,
                "",
                "1 IOMMU_VEVENTQ_ALLOC on iommu: ENOENT\n",
            ),
        ];
        (side("6.12.95", &base), side("7.3.4", &head))
    }

    #[test]
    fn each_way_to_differ_is_found() {
        let (base, head) = two();
        let comparison = Comparison::new(&base, &head, &Intended::default());
        let kinds: Vec<_> = comparison
            .changes
            .iter()
            .map(|it| (it.case.as_str(), it.kind))
            .collect();
        assert_eq!(
            kinds,
            [
                ("a/broken", Kind::Broken),
                ("a/mended", Kind::Mended),
                ("a/end", Kind::End),
                ("a/none", Kind::End),
                ("a/field", Kind::Fields),
                ("a/new", Kind::Came),
            ]
        );
        assert_eq!((comparison.judged, comparison.alike), (6, 1));
        assert_eq!(
            comparison.ioctls_came,
            ["IOMMU_HW_QUEUE_ALLOC", "IOMMU_VEVENTQ_ALLOC"]
        );
        assert_eq!(comparison.ioctls_went, [""; 0]);
        assert!(!comparison.is_as_intended());
    }

    #[test]
    fn a_run_is_like_itself() {
        let (base, _) = two();
        let comparison = Comparison::new(&base, &base, &Intended::default());
        assert!(comparison.is_as_intended() && comparison.ends.is_empty());
        assert_eq!(comparison.judged, comparison.alike);
    }
}
