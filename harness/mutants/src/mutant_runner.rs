//! Runs cases on a mutant and determines which of them killed it.
//!
//! A case that does not pass has killed the mutant only if it passes on the unchanged kernel. If
//! few cases kill it, one also has to fail again, in its own guest or after the cases before it.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use case::Case;
use runner::{
    event::{Event, Sink},
    lab::{Lab, LabError},
    record::Record,
    run::{Cancel, run},
    verdict::Verdict,
};

use crate::{
    interrupt::Interrupt,
    outcome::{Killer, MutantOutcome},
};

/// Number of attempts to boot a kernel.
const BOOTS: usize = 3;
/// Up to this many killers are run a second time.
const FEW: usize = 3;
/// Number of cases before one that may be the reason why it fails.
const BEFORE: usize = 30;

/// Why a mutant has no result.
#[derive(Debug, thiserror::Error)]
pub enum MutantRunError {
    /// The lab could not be opened.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The unchanged kernel does not boot, so no mutant of it can be judged.
    #[error("the unchanged kernel does not boot: {0}")]
    Plain(String),
    #[error("interrupted")]
    Interrupted,
}

/// The unchanged kernel, and known results of cases on it.
pub struct MutantRunner<'a> {
    /// The lab with the unchanged kernel.
    pub plain: &'a Lab,
    /// Number of guests at a time.
    pub jobs: usize,
    /// A run ends after this many cases that did not pass.
    pub enough: usize,
    pub interrupt: &'a Interrupt,
    passing: BTreeSet<String>,
    failing: BTreeSet<String>,
}

/// Result of a run of some cases.
enum Ended {
    Judged(Judged),
    /// The kernel did not boot, for this reason.
    NoBoot(String),
}

/// Records of a run.
struct Judged {
    /// Cases that did not pass.
    failed: Vec<Record>,
    /// The others.
    rest: Vec<Record>,
    /// Whether all cases ran.
    all: bool,
}

impl Judged {
    /// Returns the cases that came before one in its guest, the last ones and in their order.
    fn before<'a>(&'a self, record: &'a Record) -> Vec<&'a str> {
        let mut before: Vec<_> = std::iter::successors(after(record), |id| {
            let mut records = self.failed.iter().chain(&self.rest);
            records.find(|it| it.id == *id).and_then(after)
        })
        .take(BEFORE)
        .collect();
        before.reverse();
        before
    }

    fn has_failed(&self, id: &str) -> bool {
        self.failed.iter().any(|record| record.id == id)
    }

    /// Returns the ids of all cases that were judged.
    fn seen(&self) -> BTreeSet<String> {
        let records = self.failed.iter().chain(&self.rest);
        records.map(|record| record.id.clone()).collect()
    }
}

impl<'a> MutantRunner<'a> {
    /// Returns a runner without known results.
    pub fn new(plain: &'a Lab, jobs: usize, enough: usize, interrupt: &'a Interrupt) -> Self {
        Self {
            plain,
            jobs,
            enough,
            interrupt,
            passing: BTreeSet::new(),
            failing: BTreeSet::new(),
        }
    }

    /// Returns the cases that are known not to pass on the unchanged kernel.
    pub fn failing(&self) -> &BTreeSet<String> {
        &self.failing
    }

    /// Determines the outcome of a mutant, given its kernel, the argument that selects it on the
    /// kernel's command line, and its folder.
    pub fn outcome(
        &mut self,
        kernel: &Path,
        append: &str,
        folder: &Path,
        cases: &[&Case],
    ) -> Result<MutantOutcome, MutantRunError> {
        let lab = self.plain.with_kernel(kernel, append, folder)?;
        let mut left: Vec<&Case> = cases.to_vec();
        left.retain(|case| !self.failing.contains(&case.id));
        while !left.is_empty() {
            let run = match self.run_steadily(&lab, &left)? {
                Ended::Judged(run) => run,
                Ended::NoBoot(why) => return Ok(no_boot(why)),
            };
            let seen = run.seen();
            let mut ran = left.clone();
            ran.retain(|case| seen.contains(&case.id));
            self.ask_plain(&run.failed, &ran)?;
            let by = self.confirmed(&lab, &ran, &run)?;
            if !by.is_empty() {
                return Ok(MutantOutcome::Killed {
                    by,
                    cut_short: !run.all,
                });
            }
            // The run ended at cases that fail on any kernel, or only now and then on this one:
            // continue with those that it has not come to.
            let before = left.len();
            left.retain(|case| !seen.contains(&case.id));
            if run.all || left.len() == before {
                break;
            }
        }
        Ok(MutantOutcome::Survived)
    }

    /// Finds out which of the failed cases and checks pass on the unchanged kernel.
    fn ask_plain(&mut self, failed: &[Record], ran: &[&Case]) -> Result<(), MutantRunError> {
        let is_known = |record: &&Record| {
            self.passing.contains(&record.id) || self.failing.contains(&record.id)
        };
        let unknown: Vec<&Record> = failed.iter().filter(|record| !is_known(record)).collect();
        let cases = cases_to_repeat(&unknown, ran);
        if cases.is_empty() {
            return Ok(());
        }
        let bad = match self.run(self.plain, &cases, self.jobs, usize::MAX)? {
            Ended::Judged(run) => run,
            Ended::NoBoot(why) => return Err(MutantRunError::Plain(why)),
        };
        for record in unknown {
            let known = if bad.has_failed(&record.id) {
                &mut self.failing
            } else {
                &mut self.passing
            };
            known.insert(record.id.clone());
        }
        Ok(())
    }

    /// Returns the cases that fail because of the mutant, of those that ran. Each has to fail again,
    /// in a guest of its own; if none does, the first one after the cases that came before it in its
    /// guest. Both are tried once. A check of the kernel tells once: a scan may miss what is lost,
    /// and invents nothing.
    fn confirmed(
        &self,
        lab: &Lab,
        cases: &[&Case],
        run: &Judged,
    ) -> Result<Vec<Killer>, MutantRunError> {
        let mut failed = run.failed.clone();
        failed.retain(|record| !self.failing.contains(&record.id));
        if failed.is_empty() || failed.len() > FEW {
            return Ok(failed.iter().map(killer).collect());
        }
        if failed.iter().any(Record::is_of_check) {
            failed.retain(Record::is_of_check);
            return Ok(failed.iter().map(killer).collect());
        }
        let again = cases_to_repeat(&failed.iter().collect::<Vec<_>>(), cases);
        let Ended::Judged(twice) = self.run(lab, &again, self.jobs, usize::MAX)? else {
            return Ok(failed.iter().map(killer).collect());
        };
        let (steady, unsteady): (Vec<_>, Vec<_>) = failed
            .into_iter()
            .partition(|record| twice.has_failed(&record.id));
        match (steady.is_empty(), unsteady.first()) {
            (true, Some(first)) => {
                let order = [run.before(first), vec![&first.id]].concat();
                Ok(self
                    .in_order(lab, cases, &order, first)?
                    .into_iter()
                    .collect())
            }
            _ => Ok(steady.iter().map(killer).collect()),
        }
    }

    /// Runs a case that passes alone after those that came before it, one after the other.
    fn in_order(
        &self,
        lab: &Lab,
        cases: &[&Case],
        order: &[&str],
        record: &Record,
    ) -> Result<Option<Killer>, MutantRunError> {
        let case = |id: &&str| cases.iter().copied().find(|case| case.id == **id);
        let cases: Vec<&Case> = order.iter().filter_map(case).collect();
        let Ended::Judged(run) = self.run(lab, &cases, 1, usize::MAX)? else {
            return Ok(Some(killer(record)));
        };
        let before = order.iter().take_while(|id| **id != record.id);
        Ok(run.has_failed(&record.id).then(|| Killer {
            after: before.map(|id| (*id).to_owned()).collect(),
            ..killer(record)
        }))
    }

    /// Runs cases, and tries again if the guest does not boot: a busy machine loses a guest at
    /// times, so only a kernel that never boots is killed.
    fn run_steadily(&self, lab: &Lab, cases: &[&Case]) -> Result<Ended, MutantRunError> {
        for _ in 1..BOOTS {
            if let ended @ Ended::Judged(_) = self.run(lab, cases, self.jobs, self.enough)? {
                return Ok(ended);
            }
        }
        self.run(lab, cases, self.jobs, self.enough)
    }

    fn run(
        &self,
        lab: &Lab,
        cases: &[&Case],
        jobs: usize,
        enough: usize,
    ) -> Result<Ended, MutantRunError> {
        let cancel = self.interrupt.cancel();
        let counter = Counter {
            left: AtomicUsize::new(enough),
            cancel: Arc::clone(&cancel),
        };
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(counter)];
        let ended = run(lab, cases, jobs, &mut sinks, &cancel);
        if self.interrupt.is_asked() {
            return Err(MutantRunError::Interrupted);
        }
        let summary = match ended {
            Ok(summary) => summary,
            Err(LabError::Boot(error)) => return Ok(Ended::NoBoot(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        if let Some(boot) = summary.cases.iter().find(|it| it.is_of_kernel()) {
            let why = boot.reason.clone().unwrap_or_default();
            return Ok(Ended::NoBoot(why));
        }
        let (failed, rest) = summary.cases.into_iter().partition(is_complaint);
        Ok(Ended::Judged(Judged {
            failed,
            rest,
            all: !summary.run.interrupted,
        }))
    }
}

/// The case before that of a record, in the same guest.
fn after(record: &Record) -> Option<&str> {
    record.guest.as_ref()?.after.as_deref()
}

/// Returns the cases that show again whether these records fail: all that ran for a check, since it
/// tells at the end of a guest, and any for what the machine lacks.
fn cases_to_repeat<'a>(failed: &[&Record], ran: &[&'a Case]) -> Vec<&'a Case> {
    if failed.iter().any(|record| record.is_of_check()) {
        return ran.to_vec();
    }
    let is_failed = |case: &&&Case| failed.iter().any(|record| record.id == case.id);
    let mut again: Vec<&Case> = ran.iter().filter(is_failed).copied().collect();
    if again.is_empty() && failed.iter().any(|record| record.is_of_machine()) {
        again.extend(ran.first());
    }
    again
}

/// Whether the verdict is a failure of the kernel.
fn is_complaint(record: &Record) -> bool {
    !record.verdict.is_expected() && record.verdict != Verdict::Error
}

fn killer(record: &Record) -> Killer {
    Killer {
        case: record.id.clone(),
        after: Vec::new(),
        verdict: Some(record.verdict),
        reason: record.reason.clone(),
    }
}

fn no_boot(why: String) -> MutantOutcome {
    let killer = Killer {
        case: "the boot".to_owned(),
        after: Vec::new(),
        verdict: None,
        reason: Some(why),
    };
    MutantOutcome::Killed {
        by: vec![killer],
        cut_short: true,
    }
}

/// Ends the run after enough complaints.
struct Counter {
    left: AtomicUsize,
    cancel: Arc<Cancel>,
}

impl Sink for Counter {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        if let Event::CaseEnded(record) = event
            && is_complaint(record)
            && self.left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            self.cancel.cancel();
        }
        Ok(())
    }
}

/// Returns the folder of a mutant's record below that of the run.
pub fn folder(run: &Path, id: &str) -> PathBuf {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    run.join(id.chars().map(plain).collect::<String>())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use runner::record::InGuest;

    use super::*;

    fn record(id: &str, number: usize, after: Option<&str>) -> Record {
        Record {
            guest: Some(InGuest {
                number,
                after: after.map(str::to_owned),
            }),
            ..Record::of_machine(id, "intel", "a rule")
        }
    }

    #[rstest]
    #[case::of_its_guest("c", &["a", "b"])]
    #[case::first_of_its_guest("d", &[])]
    #[case::of_a_machine("machine/boot", &[])]
    fn cases_of_the_same_guest_come_before(#[case] id: &str, #[case] before: &[&str]) {
        let run = Judged {
            failed: vec![record("b", 1, Some("a"))],
            rest: vec![
                record("a", 1, None),
                record("d", 2, None),
                record("c", 1, Some("b")),
                Record::of_machine("machine/boot", "intel", "a rule"),
            ],
            all: true,
        };
        let mut records = run.failed.iter().chain(&run.rest);
        let record = records.find(|record| record.id == id);
        assert_eq!(
            record.map(|record| run.before(record)),
            Some(before.to_vec())
        );
    }
}
