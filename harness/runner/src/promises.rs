//! The promises that were not kept, as records of a run.

use std::collections::BTreeMap;

use crate::{promise::Broken, record::Record, verdict::Verdict};

/// The promises that were not kept in the guests of a run.
#[derive(Debug, Default)]
pub struct Promises(BTreeMap<String, Broken>);

impl Promises {
    /// Adds those of a guest.
    pub fn add(&mut self, broken: &[Broken]) {
        for one in broken {
            let of_id = self.0.entry(one.id.clone());
            of_id.or_insert_with(|| one.clone());
        }
    }

    /// Returns a failure for each, with the number of cases that could not run because of it.
    pub fn records(&self, platform: &str, records: &[Record]) -> Vec<Record> {
        let mut waiting = BTreeMap::<&str, usize>::new();
        for id in self.0.keys() {
            waiting.insert(id, 0);
        }
        for id in records.iter().filter_map(|it| it.waits_for.as_deref()) {
            *waiting.entry(id).or_default() += 1;
        }
        let failure = |(id, count): (&str, usize)| {
            let mut record = Record::of_machine(id, platform, RULE);
            record.verdict = Verdict::Fail;
            let told = self.0.get(id).map_or_else(
                || "cases need what was promised and is not there".to_owned(),
                |it| format!("expected {}; seen: {}", it.expected, it.seen),
            );
            let cases = if count == 1 {
                "case waits"
            } else {
                "cases wait"
            };
            record.reason = Some(format!("{told}; {count} {cases} for it"));
            record
        };
        waiting.into_iter().map(failure).collect()
    }
}

const RULE: &str =
    "The guest has the groups, devices and features that its platform and configuration promise";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use super::*;
    use crate::{
        options::vm_images_folder,
        platform::Platform,
        promise::{Promise, promised, relevant},
    };

    #[test]
    fn groups_that_are_split_or_joined_are_told_with_what_waits() {
        let platform = Platform::load(&vm_images_folder(), "intel").unwrap();
        let on = relevant(&platform).map(|option| (option.to_owned(), "y".to_owned()));
        let none = BTreeMap::new();
        let mut offered = promised(&platform, &none, &on.collect());
        offered.groups.retain(|group| group.name != "functions");
        let why = "the devices of functions are in several IOMMU groups: [7, 8, 9]";
        offered
            .missing_groups
            .insert("functions".to_owned(), why.to_owned());
        let number = offered
            .groups
            .iter()
            .find(|it| it.name == "solo")
            .unwrap()
            .number;
        for group in &mut offered.groups {
            if group.name == "lone" {
                group.number = number;
            }
        }
        let promise = Promise::of(&platform, &none, &offered, false);
        let mut promises = Promises::default();
        promises.add(promise.broken());
        let mut waiting = Record::of_machine("stage2/x", "intel", "");
        waiting.waits_for = Some("machine/group-functions".to_owned());
        let records = promises.records("intel", &[waiting]);
        let lines = records.iter().map(|it| {
            format!(
                "{} {}: {}",
                it.verdict,
                it.id,
                it.reason.as_deref().unwrap_or("")
            )
        });
        insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
    }
}
