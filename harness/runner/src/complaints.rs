//! What the kernel complained of outside of cases: while it booted, between two cases, and after
//! the last one.

use std::collections::BTreeMap;

use crate::{record::Record, verdict::Verdict};

/// When the kernel complained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// From the first line of boot to the end of the set-up.
    Boot,
    /// After this case had ended, or after the set-up.
    After(Option<String>),
}

/// Complaints of all guests of a run.
#[derive(Debug, Default)]
pub struct Complaints(BTreeMap<&'static str, Vec<Complaint>>);

#[derive(Debug)]
struct Complaint {
    text: String,
    /// Number of guests with the same complaint.
    guests: usize,
}

impl Complaints {
    /// Adds a complaint of a guest.
    pub fn add(&mut self, when: &When, complaint: &str) {
        let (id, text) = match when {
            When::Boot => (BOOT, complaint.to_owned()),
            When::After(case) => {
                let case = case.as_deref().unwrap_or("the set-up");
                (BETWEEN, format!("after {case}: {complaint}"))
            }
        };
        let of_id = self.0.entry(id).or_default();
        // Guests boot alike but for the times and addresses, which stand behind the first line.
        let same = |it: &&mut Complaint| it.text.lines().next() == text.lines().next();
        match of_id.iter_mut().find(same).filter(|_| id == BOOT) {
            Some(known) => known.guests += 1,
            None => of_id.push(Complaint { text, guests: 1 }),
        }
    }

    /// Returns a failure for each kind of complaint.
    pub fn records(&self, platform: &str) -> Vec<Record> {
        let record = |(id, complaints): (&&'static str, &Vec<Complaint>)| {
            let rule = match *id {
                BOOT => "The kernel boots and is set up without a complaint",
                _ => "The kernel complains of nothing between cases",
            };
            let mut record = Record::of_machine(id, platform, rule);
            record.verdict = Verdict::Fail;
            let texts: Vec<_> = complaints.iter().map(Complaint::told).collect();
            record.reason = Some(texts.join("\n"));
            record
        };
        self.0.iter().map(record).collect()
    }
}

impl Complaint {
    fn told(&self) -> String {
        match self.guests {
            1 => self.text.clone(),
            guests => format!("{} (in {guests} guests)", self.text),
        }
    }
}

const BOOT: &str = "machine/boot";
const BETWEEN: &str = "machine/log";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_boot_are_told_once_and_others_with_the_case_before() {
        let mut complaints = Complaints::default();
        assert!(complaints.records("intel").is_empty());
        complaints.add(&When::Boot, "WARNING: a.c:1\nRIP: 1");
        complaints.add(&When::Boot, "WARNING: a.c:1\nRIP: 2");
        complaints.add(&When::After(Some("stage1/x".to_owned())), "BUG: late");
        complaints.add(&When::After(None), "BUG: late");
        let records = complaints.records("intel");
        let lines = records.iter().map(|it| {
            format!(
                "{} {}\n{}",
                it.verdict,
                it.id,
                it.reason.as_deref().unwrap_or("")
            )
        });
        let expected = [
            "FAIL machine/boot\nWARNING: a.c:1\nRIP: 1 (in 2 guests)",
            "FAIL machine/log\nafter stage1/x: BUG: late\nafter the set-up: BUG: late",
        ];
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    }
}
