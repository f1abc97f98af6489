//! The checks of a debug kernel that can switch themselves off: whether they were on to the end of
//! every guest, as records of their own. Otherwise a run would be green because nothing looked.

use std::collections::BTreeMap;

use wire::{CheckState, KernelCheck};

use crate::{guest::Lost, record::Record, verdict::Verdict};

/// States of the checks at the end of the guests of a run.
#[derive(Debug, Default)]
pub struct Checks {
    promised: Vec<KernelCheck>,
    guests: usize,
    troubles: BTreeMap<KernelCheck, Vec<String>>,
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
    pub fn add(&mut self, boot: usize, states: &[CheckState]) {
        self.guests += 1;
        for state in states {
            if let Some(trouble) = &state.trouble {
                let of_check = self.troubles.entry(state.check).or_default();
                of_check.push(format!("guest {boot}: {trouble}"));
            }
        }
    }

    /// Returns a record for each check. Without a guest that lived to its end, nothing is known.
    pub fn records(&self, platform: &str) -> Vec<Record> {
        let record = |check: &KernelCheck| {
            let (id, rule) = described(*check);
            let mut record = Record::of_machine(id, platform, rule);
            record.reason = self.troubles.get(check).map(|all| all.join("\n"));
            record.verdict = match record.reason {
                Some(_) => Verdict::Fail,
                None => Verdict::Pass,
            };
            record
        };
        match self.guests {
            0 => Vec::new(),
            _ => self.promised.iter().map(record).collect(),
        }
    }
}

/// Returns the states of a guest that was lost when it was asked.
pub fn lost(asked: &[KernelCheck], lost: &Lost) -> Vec<CheckState> {
    let state = |check: &KernelCheck| CheckState {
        check: *check,
        trouble: Some(lost.to_string()),
    };
    asked.iter().map(state).collect()
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
    use super::*;

    fn state(check: KernelCheck, trouble: Option<&str>) -> CheckState {
        CheckState {
            check,
            trouble: trouble.map(str::to_owned),
        }
    }

    #[test]
    fn one_guest_with_trouble_is_enough() {
        let mut checks = Checks::new(&[KernelCheck::Lockdep, KernelCheck::Kmemleak]);
        checks.add(
            1,
            &[
                state(KernelCheck::Lockdep, None),
                state(KernelCheck::Kmemleak, None),
            ],
        );
        checks.add(
            2,
            &[
                state(KernelCheck::Lockdep, Some("off")),
                state(KernelCheck::Kmemleak, None),
            ],
        );
        let records = checks.records("intel");
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

    #[test]
    fn nothing_is_said_of_guests_that_were_never_asked() {
        assert!(
            Checks::new(&[KernelCheck::Lockdep])
                .records("intel")
                .is_empty()
        );
        assert!(Checks::new(&[]).records("intel").is_empty());
    }
}
