//! How many transitions were covered, and what a walk could not observe.

use std::{fmt, io};

use runner::{exit::Exit, record::Record, verdict::Verdict};
use serde::Serialize;

use crate::{
    exhaustive::ExhaustiveWalks,
    observability::Observability,
    traversal::{Traversal, WalkCase},
};

/// The contents of `explore.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// The platform.
    pub platform: String,
    /// The accelerator of QEMU.
    pub accel: String,
    /// The worlds that were selected.
    pub worlds: Vec<WorldCoverage>,
    /// Walks without a verdict, after a second try.
    pub without_verdict: usize,
    /// Ids of the failures of the machine.
    pub machine: Vec<String>,
}

/// What was covered of a world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WorldCoverage {
    /// Its name.
    pub name: &'static str,
    /// Transitions of its graph.
    pub transitions: usize,
    /// Transitions that were observed and conform.
    pub covered: usize,
    /// Transitions that diverge.
    pub diverge: usize,
    /// Walks that were lost as a whole.
    pub lost: usize,
    /// Why no walk was run.
    pub skipped: Option<String>,
    /// Why one of the walks was not run, although others were.
    pub partly_skipped: Option<String>,
    /// Whether the guest lacks what the platform promises.
    pub missing: bool,
    /// Why no default domain is an identity domain, so that a blocked DMA does not tell the
    /// blocking domain from a translated default domain.
    pub no_identity_control: Option<String>,
    /// DMA that is not observed, and why.
    pub limits: Vec<String>,
}

impl Coverage {
    /// Returns the coverage of walks that were run.
    pub fn of(walks: &ExhaustiveWalks<'_>) -> Self {
        let worlds = walks.traversals.iter().enumerate();
        let worlds = worlds.map(|(number, traversal)| {
            let own: Vec<_> = walks.of_world(number).collect();
            let observability = Observability::of(&traversal.world, &walks.lab.platform);
            WorldCoverage::of(traversal, &own, &observability)
        });
        let walked = walks.walked.iter();
        Self {
            platform: walks.lab.platform.name.clone(),
            accel: walks.lab.accel().to_string(),
            worlds: worlds.collect(),
            without_verdict: walked.filter(|walk| walk.has_no_verdict()).count(),
            machine: walks.machine.iter().map(|it| it.id.clone()).collect(),
        }
    }

    /// Returns the exit code.
    pub fn exit(&self) -> Exit {
        let fails = |world: &WorldCoverage| {
            world.missing
                || world.diverge > 0
                || world.lost > 0
                || (world.skipped.is_none() && world.partly_skipped.is_some())
        };
        let (covered, reachable) = self.totals();
        if !self.machine.is_empty() || self.worlds.iter().any(fails) {
            Exit::Failed
        } else if covered == reachable && reachable > 0 {
            Exit::Ok
        } else if self.without_verdict > 0 {
            Exit::Host
        } else {
            Exit::Failed
        }
    }

    /// Returns the number of covered transitions, and of those of the worlds that were walked.
    fn totals(&self) -> (usize, usize) {
        let walked = self.worlds.iter().filter(|world| world.skipped.is_none());
        walked.fold((0, 0), |(covered, all), world| {
            (covered + world.covered, all + world.transitions)
        })
    }

    /// The transitions of the worlds that were skipped: not offered, and missing.
    fn skipped(&self, missing: bool) -> usize {
        let worlds = self.worlds.iter();
        let skipped = worlds.filter(|it| it.skipped.is_some() && it.missing == missing);
        skipped.map(|world| world.transitions).sum()
    }

    /// Writes it as JSON.
    pub fn json(&self) -> io::Result<String> {
        serde_json::to_string_pretty(self).map_err(io::Error::other)
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for world in &self.worlds {
            write!(to, "{world}")?;
        }
        let (covered, reachable) = self.totals();
        writeln!(
            to,
            "transitions on {}: {covered} / {reachable} ({})",
            self.platform, self.accel
        )?;
        let without = self.worlds.iter();
        let without = without.filter(|it| it.skipped.is_none() && it.no_identity_control.is_some());
        let without: Vec<_> = without.map(|world| world.name).collect();
        if !without.is_empty() {
            let names = without.join(", ");
            writeln!(to, "blocked DMA without an identity control: {names}")?;
        }
        let counts = [
            ("not offered by the platform", self.skipped(false)),
            ("promised by the platform, and missing", self.skipped(true)),
            ("walks without a verdict", self.without_verdict),
        ];
        for (what, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            writeln!(to, "{what}: {count}")?;
        }
        Ok(())
    }
}

impl WorldCoverage {
    fn of(traversal: &Traversal, walks: &[&WalkCase], observability: &Observability) -> Self {
        let marks = &traversal.marks;
        let edges = 0..traversal.graph.edges.len();
        let skipped = skipped(walks);
        let all = skipped.len() == walks.len();
        let reason = skipped.first().map(|record| why(record));
        Self {
            name: traversal.world.name,
            transitions: edges.len(),
            covered: marks.count(),
            diverge: edges.filter(|edge| marks.is_closed(*edge)).count(),
            lost: walks.iter().filter(|walk| walk.is_lost()).count(),
            skipped: reason.clone().filter(|_| all),
            partly_skipped: reason.filter(|_| !all),
            missing: skipped.iter().any(|record| record.waits_for.is_some()),
            no_identity_control: observability.no_control(),
            limits: observability.limits().collect(),
        }
    }
}

/// The records of the walks that are a SKIP.
fn skipped<'a>(walks: &[&'a WalkCase]) -> Vec<&'a Record> {
    let records = walks.iter().filter_map(|walk| walk.record.as_ref());
    let skipped = records.filter(|record| record.verdict == Verdict::Skip);
    skipped.collect()
}

fn why(record: &Record) -> String {
    record.reason.clone().unwrap_or_default()
}

impl fmt::Display for WorldCoverage {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, all) = (self.name, self.transitions);
        match &self.skipped {
            Some(why) => writeln!(to, "{name:<28}      - / {all:>6}  {why}")?,
            None => writeln!(to, "{name:<28} {:>6} / {all:>6}", self.covered)?,
        }
        if let Some(why) = &self.partly_skipped {
            writeln!(to, "{:28} some walks were not run: {why}", "")?;
        }
        for limit in &self.limits {
            writeln!(to, "{:28} {limit}", "")?;
        }
        match &self.no_identity_control {
            Some(why) if self.skipped.is_none() => {
                writeln!(to, "{:28} no identity control: {why}", "")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn world(name: &'static str) -> WorldCoverage {
        WorldCoverage {
            name,
            transitions: 10,
            covered: 10,
            diverge: 0,
            lost: 0,
            skipped: None,
            partly_skipped: None,
            missing: false,
            no_identity_control: None,
            limits: Vec::new(),
        }
    }

    fn coverage(worlds: Vec<WorldCoverage>) -> Coverage {
        Coverage {
            platform: "intel".to_owned(),
            accel: "tcg".to_owned(),
            worlds,
            without_verdict: 0,
            machine: Vec::new(),
        }
    }

    fn skipped() -> WorldCoverage {
        WorldCoverage {
            covered: 0,
            skipped: Some("a group of shape bridge".to_owned()),
            ..world("bridge")
        }
    }

    fn partly() -> WorldCoverage {
        WorldCoverage {
            covered: 4,
            partly_skipped: Some("the mdev is gone".to_owned()),
            ..world("mdev")
        }
    }

    #[rstest]
    #[case::all(vec![world("a"), skipped()], 0, Exit::Ok)]
    #[case::nothing(vec![skipped()], 0, Exit::Failed)]
    #[case::missing(vec![world("a"), WorldCoverage { missing: true, ..skipped() }], 0, Exit::Failed)]
    #[case::less(vec![WorldCoverage { covered: 9, ..world("a") }], 0, Exit::Failed)]
    #[case::less_for_qemu(vec![WorldCoverage { covered: 9, ..world("a") }], 1, Exit::Host)]
    #[case::all_in_spite_of_qemu(vec![world("a")], 1, Exit::Ok)]
    #[case::diverges_beside_a_crash(
        vec![WorldCoverage { covered: 8, diverge: 1, ..world("a") }], 1, Exit::Failed
    )]
    #[case::lost_beside_a_crash(
        vec![WorldCoverage { covered: 8, lost: 1, ..world("a") }], 1, Exit::Failed
    )]
    #[case::the_first_walk_is_skipped(vec![partly()], 0, Exit::Failed)]
    fn the_exit_code_says_whose_fault_it_is(
        #[case] worlds: Vec<WorldCoverage>,
        #[case] without_verdict: usize,
        #[case] exit: Exit,
    ) {
        let coverage = Coverage {
            without_verdict,
            ..coverage(worlds)
        };
        assert_eq!(coverage.exit(), exit);
    }

    #[test]
    fn a_failure_of_the_machine_fails() {
        let coverage = Coverage {
            machine: vec!["machine/boot".to_owned()],
            ..coverage(vec![world("a")])
        };
        assert_eq!(coverage.exit(), Exit::Failed);
    }

    #[test]
    fn the_report_names_what_was_not_looked_at() {
        let hotplug = WorldCoverage {
            no_identity_control: Some("it is in a new group each time".to_owned()),
            ..world("hotplug")
        };
        let coverage = coverage(vec![world("singleton"), hotplug, skipped(), partly()]);
        insta::assert_snapshot!(coverage, @r"
        singleton                        10 /     10
        hotplug                          10 /     10
                                     no identity control: it is in a new group each time
        bridge                            - /     10  a group of shape bridge
        mdev                              4 /     10
                                     some walks were not run: the mdev is gone
        transitions on intel: 24 / 30 (tcg)
        blocked DMA without an identity control: hotplug
        not offered by the platform: 10
        ");
    }
}
