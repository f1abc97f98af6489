//! Finds the commit that makes a case fail.

use std::path::PathBuf;

use runner::{
    exit::Exit,
    lab::LabError,
    options::{GuestOptions, MachineOptions},
    run::Cancel,
    say,
    snapshot::{BadUpdate, Mode},
};

use crate::{
    cases::{CasesError, run_cases},
    checkout::{Checkout, CheckoutError},
    comparison::Comparison,
    intended::Intended,
    report::human,
    side::{Side, SideError},
};

/// Why a commit was not found.
#[derive(Debug, thiserror::Error)]
pub enum BisectError {
    #[error(transparent)]
    Checkout(#[from] CheckoutError),
    #[error(transparent)]
    Cases(#[from] CasesError),
    #[error(transparent)]
    Side(#[from] SideError),
    #[error(transparent)]
    Update(#[from] BadUpdate),
    #[error(
        "{revision}, which is given as good, is not: {how}; give an older revision, or look at {record}"
    )]
    GoodIsBad {
        revision: String,
        how: Outcome,
        record: String,
    },
    #[error("{revision}, which is given as bad, is not: {how}; look at {record}")]
    BadIsGood {
        revision: String,
        how: Outcome,
        record: String,
    },
    #[error("{revision} cannot be tested: {how}")]
    EndCannotBeTested { revision: String, how: Outcome },
    #[error("only commits that cannot be tested are left; the first bad one is one of:\n{left}")]
    OnlySkipped { left: String },
}

/// What a revision showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// All runs were as expected.
    Good,
    /// So many of the runs were not as expected.
    Bad { failed: u32, runs: u32 },
    /// It does not build, or does not boot.
    CannotBeTested(String),
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Good => f.write_str("good"),
            Self::Bad { failed, runs } if failed == runs => f.write_str("bad"),
            Self::Bad { failed, runs } => {
                write!(f, "bad, and flaky: {failed} of {runs} runs failed")
            }
            Self::CannotBeTested(why) => write!(f, "cannot be tested: {why}"),
        }
    }
}

/// A bisection.
#[derive(Debug)]
pub struct Bisect<'a> {
    pub checkout: Checkout,
    /// The machine; its kernel is that of the checkout.
    pub machine: MachineOptions,
    /// The cases, as run-conformance takes them.
    pub filters: Vec<String>,
    /// How often a revision is judged: a case that fails now and then is no reason to call a commit
    /// good.
    pub runs: u32,
    /// Where the records go.
    pub folder: PathBuf,
    pub cancel: &'a Cancel,
}

/// The commit that was found.
#[derive(Debug)]
pub struct Found {
    /// Its hash and title.
    pub commit: String,
    /// What differs between it and the last good one before it, as text.
    pub difference: String,
}

impl Bisect<'_> {
    /// Judges both ends, and then halves what is between them.
    pub fn find(&self, good: &str, bad: &str) -> Result<Found, BisectError> {
        let (good, bad) = (self.checkout.resolve(good)?, self.checkout.resolve(bad)?);
        self.check_ends(&good, &bad)?;
        let mut next = self.checkout.bisect(&["start", &bad, &good])?;
        let mut last_good = good;
        loop {
            if let Some(commit) = first_bad(&next) {
                return self.found(&commit, &last_good);
            }
            if next.contains("only 'skip'ped commits left") {
                return Err(BisectError::OnlySkipped { left: next });
            }
            let commit = self.checkout.head()?;
            let word = match self.judged(&commit)? {
                Outcome::Good => {
                    last_good = commit;
                    "good"
                }
                Outcome::Bad { .. } => "bad",
                Outcome::CannotBeTested(_) => "skip",
            };
            next = self.checkout.bisect(&[word])?;
        }
    }

    fn check_ends(&self, good: &str, bad: &str) -> Result<(), BisectError> {
        let record = |commit: &str| self.record(commit, 1).display().to_string();
        self.checkout.switch(good)?;
        match self.judged(good)? {
            Outcome::Good => {}
            how @ Outcome::CannotBeTested(_) => {
                let revision = good.to_owned();
                return Err(BisectError::EndCannotBeTested { revision, how });
            }
            how => {
                return Err(BisectError::GoodIsBad {
                    revision: good.to_owned(),
                    how,
                    record: record(good),
                });
            }
        }
        self.checkout.switch(bad)?;
        match self.judged(bad)? {
            Outcome::Bad { .. } => Ok(()),
            how @ Outcome::CannotBeTested(_) => {
                let revision = bad.to_owned();
                Err(BisectError::EndCannotBeTested { revision, how })
            }
            how => Err(BisectError::BadIsGood {
                revision: bad.to_owned(),
                how,
                record: record(bad),
            }),
        }
    }

    /// Judges the revision that is checked out, and tells.
    fn judged(&self, commit: &str) -> Result<Outcome, BisectError> {
        let title = self.checkout.title(commit)?;
        let outcome = self.outcome(commit)?;
        say!("{title}: {outcome}");
        Ok(outcome)
    }

    fn outcome(&self, commit: &str) -> Result<Outcome, BisectError> {
        let mut failed = 0;
        for run in 1..=self.runs {
            let machine = MachineOptions {
                guest: GuestOptions {
                    linux: Some(self.checkout.folder().to_owned()),
                    ..self.machine.guest.clone()
                },
                record: Some(self.record(commit, run)),
                turn: u64::from(run - 1),
                ..self.machine.clone()
            };
            let summary = run_cases(
                &machine,
                &self.filters,
                Mode::of_environment()?,
                self.cancel,
            );
            match summary {
                Ok(summary) => match summary.exit(false) {
                    Exit::Ok => {}
                    Exit::Failed => failed += 1,
                    _ => return Ok(Outcome::CannotBeTested("it does not boot".to_owned())),
                },
                Err(CasesError::Lab(error)) if error.exit() == Exit::Kernel => {
                    return Ok(Outcome::CannotBeTested(first_line(&error)));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(match failed {
            0 => Outcome::Good,
            failed => Outcome::Bad {
                failed,
                runs: self.runs,
            },
        })
    }

    fn record(&self, commit: &str, run: u32) -> PathBuf {
        let short = commit.get(..12).unwrap_or(commit);
        self.folder.join(format!("{short}-{run}"))
    }

    fn found(&self, commit: &str, last_good: &str) -> Result<Found, BisectError> {
        let load = |commit: &str| -> Result<Side, BisectError> {
            let title = self.checkout.title(commit)?;
            Ok(Side::load(&title, &self.failed_record(commit))?)
        };
        let comparison = Comparison::new(&load(last_good)?, &load(commit)?, &Intended::default());
        Ok(Found {
            commit: self.checkout.title(commit)?,
            difference: human(&comparison),
        })
    }

    /// The record of a run that failed, or of the first one.
    fn failed_record(&self, commit: &str) -> PathBuf {
        let failed = |folder: &PathBuf| {
            let records = runner::records::records(folder).unwrap_or_default();
            records.values().any(|record| !record.is_as_expected())
        };
        let mut records = (1..=self.runs).map(|run| self.record(commit, run));
        records
            .find(failed)
            .unwrap_or_else(|| self.record(commit, 1))
    }
}

/// Returns the commit in git's last words.
fn first_bad(text: &str) -> Option<String> {
    let line = text
        .lines()
        .find(|line| line.ends_with(" is the first bad commit"))?;
    line.split(' ').next().map(str::to_owned)
}

fn first_line(error: &LabError) -> String {
    error
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_in_the_last_words_of_git() {
        let text = "0123456789abcdef is the first bad commit\ncommit 0123456789abcdef\n";
        assert_eq!(first_bad(text).as_deref(), Some("0123456789abcdef"));
        assert_eq!(
            first_bad("Bisecting: 3 revisions left to test after this"),
            None
        );
    }

    #[test]
    fn a_flaky_case_is_told() {
        let flaky = Outcome::Bad { failed: 1, runs: 3 };
        assert_eq!(flaky.to_string(), "bad, and flaky: 1 of 3 runs failed");
    }
}
