//! The checks of a debug kernel that can switch themselves off: whether they were on to the end of
//! every guest, as records of their own. Otherwise a run would be green because nothing looked.

use std::collections::{BTreeMap, BTreeSet};

use case::Findings;
use wire::{CheckState, KernelCheck};

use crate::{guest::Lost, record::Record, verdict::Verdict};

/// Maximum number of things that a check found to show in a reason.
const SHOWN: usize = 10;

/// States of the checks at the end of the guests of a run.
#[derive(Debug, Default)]
pub struct Checks {
    promised: Vec<KernelCheck>,
    guests: usize,
    troubles: BTreeMap<KernelCheck, Vec<String>>,
    found: BTreeMap<KernelCheck, Vec<Found>>,
}

/// What a check found in a guest.
#[derive(Debug)]
struct Found {
    boot: usize,
    report: String,
}

impl Checks {
    /// Expects these checks.
    pub fn new(promised: &[KernelCheck]) -> Self {
        Self {
            promised: promised.to_vec(),
            ..Self::default()
        }
    }

    /// Adds the answer of a guest.
    pub fn add(&mut self, boot: usize, states: Vec<CheckState>) {
        self.guests += 1;
        for state in states {
            if let Some(trouble) = state.trouble {
                let of_check = self.troubles.entry(state.check).or_default();
                of_check.push(format!("guest {boot}: {trouble}"));
            }
            let found = state.found.into_iter();
            let found = found.map(|report| Found { boot, report });
            self.found.entry(state.check).or_default().extend(found);
        }
    }

    /// Returns a record for each check. Without a guest that lived to its end, nothing is known.
    pub fn records(&self, platform: &str, findings: &Findings) -> Vec<Record> {
        let record = |check: &KernelCheck| self.record(*check, platform, findings);
        match self.guests {
            0 => Vec::new(),
            _ => self.promised.iter().map(record).collect(),
        }
    }

    /// A check fails if it is off, or found what no finding explains.
    fn record(&self, check: KernelCheck, platform: &str, findings: &Findings) -> Record {
        let (id, rule) = described(check);
        let mut record = Record::of_machine(id, platform, rule);
        let mut wrong = self.troubles.get(&check).cloned().unwrap_or_default();
        let mut known = BTreeSet::new();
        let mut unknown = Vec::new();
        for found in self.found.get(&check).into_iter().flatten() {
            match findings.explaining(&found.report) {
                Some(finding) => {
                    known.insert(finding);
                }
                None => unknown.push(format!("guest {}: {}", found.boot, found.report)),
            }
        }
        let more = unknown.len().saturating_sub(SHOWN);
        wrong.extend(unknown.into_iter().take(SHOWN));
        if more > 0 {
            wrong.push(format!("{more} more"));
        }
        (record.verdict, record.reason) = match (wrong.is_empty(), known.is_empty()) {
            (true, true) => (Verdict::Pass, None),
            (true, false) => {
                let reasons: Vec<_> = known.iter().map(|it| it.reason.as_str()).collect();
                (Verdict::Xfail, Some(reasons.join("\n")))
            }
            (false, _) => (Verdict::Fail, Some(wrong.join("\n"))),
        };
        if record.verdict == Verdict::Xfail {
            record.findings = known.into_iter().map(|it| it.name).collect();
        }
        record
    }
}

/// Returns the states of a guest that was lost when it was asked.
pub fn lost(asked: &[KernelCheck], lost: &Lost) -> Vec<CheckState> {
    let state = |check: &KernelCheck| CheckState {
        check: *check,
        trouble: Some(lost.to_string()),
        found: Vec::new(),
    };
    asked.iter().map(state).collect()
}

/// Whether a record with this id is about one of the checks.
pub fn is_id(id: &str) -> bool {
    let all = [
        KernelCheck::Lockdep,
        KernelCheck::Kmemleak,
        KernelCheck::DebugObjects,
    ];
    all.into_iter().any(|check| described(check).0 == id)
}

/// Returns the id of the record, and the rule.
fn described(check: KernelCheck) -> (&'static str, &'static str) {
    match check {
        KernelCheck::Lockdep => ("machine/lockdep", "lockdep is on to the end of each guest"),
        KernelCheck::Kmemleak => (
            "machine/kmemleak",
            "kmemleak is on to the end of each guest, and finds no leak",
        ),
        KernelCheck::DebugObjects => (
            "machine/debug-objects",
            "debugobjects is on to the end of each guest",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn state(check: KernelCheck, trouble: Option<&str>) -> CheckState {
        CheckState {
            check,
            trouble: trouble.map(str::to_owned),
            found: Vec::new(),
        }
    }

    #[test]
    fn one_guest_with_trouble_is_enough() {
        let mut checks = Checks::new(&[KernelCheck::Lockdep, KernelCheck::Kmemleak]);
        checks.add(
            1,
            vec![
                state(KernelCheck::Lockdep, None),
                state(KernelCheck::Kmemleak, None),
            ],
        );
        checks.add(
            2,
            vec![
                state(KernelCheck::Lockdep, Some("off")),
                state(KernelCheck::Kmemleak, None),
            ],
        );
        let records = checks.records("intel", &Findings::default());
        let seen: Vec<_> = records
            .iter()
            .map(|it| (it.id.as_str(), it.verdict))
            .collect();
        let want = [
            ("machine/lockdep", Verdict::Fail),
            ("machine/kmemleak", Verdict::Pass),
        ];
        assert_eq!(seen, want);
        assert_eq!(records[0].reason.as_deref(), Some("guest 2: off"));
    }

    /// The findings of the suite, one of which is a leak of a sample driver.
    fn findings() -> Findings {
        Findings::load(&crate::root::findings(), false).unwrap()
    }

    const KNOWN: &str = "unreferenced object 0xff1 (size 32):\n  backtrace:\n    \
                         __kmalloc_noprof+0x38a/0x700\n    mbochs_ioctl+0xbf6/0x15d0";
    const UNKNOWN: &str = "unreferenced object 0xff2 (size 96):\n  backtrace:\n    \
                           iommufd_ioas_alloc_ioctl+0x1/0x2";

    #[rstest]
    #[case::none(&[], Verdict::Pass, "")]
    #[case::one_that_a_finding_explains(&[KNOWN, KNOWN], Verdict::Xfail, "mbochs-dmabuf-pages-leak: ")]
    #[case::another_one(&[UNKNOWN], Verdict::Fail, "guest 1: unreferenced object 0xff2")]
    #[case::both(&[KNOWN, UNKNOWN], Verdict::Fail, "guest 1: unreferenced object 0xff2")]
    fn a_leak_that_is_known_excuses_no_other_one(
        #[case] found: &[&str],
        #[case] verdict: Verdict,
        #[case] begins: &str,
    ) {
        let mut checks = Checks::new(&[KernelCheck::Kmemleak]);
        let mut state = state(KernelCheck::Kmemleak, None);
        state.found = found.iter().map(ToString::to_string).collect();
        checks.add(1, vec![state]);
        let record = checks.records("intel", &findings()).swap_remove(0);
        assert_eq!(record.verdict, verdict);
        let reason = record.reason.unwrap_or_default();
        assert!(reason.starts_with(begins), "{reason}");
        assert!(!reason.contains("0xff1"), "{reason}");
    }

    #[test]
    fn leaks_that_are_too_many_to_show_are_counted() {
        let mut checks = Checks::new(&[KernelCheck::Kmemleak]);
        let mut state = state(KernelCheck::Kmemleak, None);
        state.found = vec![UNKNOWN.to_owned(); SHOWN + 3];
        checks.add(1, vec![state]);
        let record = checks.records("intel", &findings()).swap_remove(0);
        assert!(record.reason.unwrap_or_default().ends_with("\n3 more"));
    }

    #[test]
    fn nothing_is_said_of_guests_that_were_never_asked() {
        assert!(
            Checks::new(&[KernelCheck::Lockdep])
                .records("intel", &Findings::default())
                .is_empty()
        );
        assert!(
            Checks::new(&[])
                .records("intel", &Findings::default())
                .is_empty()
        );
    }
}
