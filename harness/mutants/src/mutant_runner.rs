//! Runs cases on a mutant and determines which of them killed it.
//!
//! A case that does not pass has killed the mutant only if it passes on the unchanged kernel. If
//! few cases kill it, each also has to fail again in its own guest.

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
    /// Cases that did not pass, and whether all cases ran.
    Judged(Vec<Record>, bool),
    /// The kernel did not boot, for this reason.
    NoBoot(String),
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
        loop {
            let able: Vec<&Case> = cases
                .iter()
                .copied()
                .filter(|case| !self.failing.contains(&case.id))
                .collect();
            let (failed, all) = match self.run_steadily(&lab, &able)? {
                Ended::Judged(failed, all) => (failed, all),
                Ended::NoBoot(why) => return Ok(no_boot(why)),
            };
            let before = self.failing.len();
            self.ask_plain(&failed)?;
            let by = self.confirmed(&lab, &able, failed)?;
            match (by.is_empty(), all) {
                (false, all) => {
                    return Ok(MutantOutcome::Killed {
                        by: by.iter().map(killer).collect(),
                        cut_short: !all,
                    });
                }
                (true, true) => return Ok(MutantOutcome::Survived),
                // The run ended at cases that fail on any kernel: continue without them.
                (true, false) if self.failing.len() > before => {}
                (true, false) => return Ok(MutantOutcome::Survived),
            }
        }
    }

    /// Finds out which of the cases pass on the unchanged kernel.
    fn ask_plain(&mut self, failed: &[Record]) -> Result<(), MutantRunError> {
        let unknown: Vec<&Case> = self
            .plain
            .corpus
            .cases
            .iter()
            .filter(|case| failed.iter().any(|record| record.id == case.id))
            .filter(|case| !self.passing.contains(&case.id) && !self.failing.contains(&case.id))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let bad = match self.run(self.plain, &unknown, usize::MAX)? {
            Ended::Judged(bad, _) => bad,
            Ended::NoBoot(why) => return Err(MutantRunError::Plain(why)),
        };
        for case in unknown {
            let known = if bad.iter().any(|record| record.id == case.id) {
                &mut self.failing
            } else {
                &mut self.passing
            };
            known.insert(case.id.clone());
        }
        Ok(())
    }

    /// Returns the cases that fail because of the mutant.
    fn confirmed(
        &mut self,
        lab: &Lab,
        cases: &[&Case],
        mut failed: Vec<Record>,
    ) -> Result<Vec<Record>, MutantRunError> {
        failed.retain(|record| !self.failing.contains(&record.id));
        if failed.is_empty() || failed.len() > FEW {
            return Ok(failed);
        }
        let mut again: Vec<&Case> = cases
            .iter()
            .copied()
            .filter(|case| failed.iter().any(|record| record.id == case.id))
            .collect();
        if again.is_empty() && failed.iter().any(Record::is_of_machine) {
            // What the machine lacks shows with any case.
            again.extend(cases.first());
        }
        let Ended::Judged(twice, _) = self.run(lab, &again, usize::MAX)? else {
            return Ok(failed);
        };
        let unsteady = |record: &Record| !twice.iter().any(|other| other.id == record.id);
        // These fail at times on any kernel, so they do not count.
        self.failing
            .extend(failed.iter().filter(|r| unsteady(r)).map(|r| r.id.clone()));
        failed.retain(|record| !unsteady(record));
        Ok(failed)
    }

    /// Runs cases, and tries again if the guest does not boot: a busy machine loses a guest at
    /// times, so only a kernel that never boots is killed.
    fn run_steadily(&self, lab: &Lab, cases: &[&Case]) -> Result<Ended, MutantRunError> {
        for _ in 1..BOOTS {
            if let ended @ Ended::Judged(..) = self.run(lab, cases, self.enough)? {
                return Ok(ended);
            }
        }
        self.run(lab, cases, self.enough)
    }

    fn run(&self, lab: &Lab, cases: &[&Case], enough: usize) -> Result<Ended, MutantRunError> {
        let cancel = self.interrupt.cancel();
        let counter = Counter {
            left: AtomicUsize::new(enough),
            cancel: Arc::clone(&cancel),
        };
        let mut sinks: Vec<Box<dyn Sink>> = vec![Box::new(counter)];
        let ended = run(lab, cases, self.jobs, &mut sinks, &cancel);
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
        let failed = summary.cases.into_iter().filter(is_complaint).collect();
        Ok(Ended::Judged(failed, !summary.run.interrupted))
    }
}

/// Whether the verdict is a failure of the kernel.
fn is_complaint(record: &Record) -> bool {
    !record.verdict.is_expected() && record.verdict != Verdict::Error
}

fn killer(record: &Record) -> Killer {
    Killer {
        case: record.id.clone(),
        verdict: Some(record.verdict),
        reason: record.reason.clone(),
    }
}

fn no_boot(why: String) -> MutantOutcome {
    let killer = Killer {
        case: "the boot".to_owned(),
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
