//! Runs single walks in a guest.

use std::{fs, io};

use case::{Case, Corpus, Sources};
use runner::{
    guest::{BootError, Guest},
    lab::{Lab, load_corpus},
    record::Record,
    run::Cancel,
    verdict::Verdict,
};
use tempfile::TempDir;

use crate::script::Script;

/// Why a walk has no result.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// The guest could not be booted.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The case that was written for the walk is not valid.
    #[error("the case written for a walk is not valid: {0}")]
    Case(String),
    /// The guest cannot run it.
    #[error("the platform does not offer what the world needs: {0}")]
    Need(String),
    /// The guest lacks what the platform and the kernel's configuration promise.
    #[error("the guest lacks what the platform promises, and the world needs: {0}")]
    Missing(String),
    /// The walk has no verdict on the kernel.
    #[error("a walk has no verdict: {0}")]
    NoVerdict(String),
    /// The case could not be written.
    #[error("writing a walk: {0}")]
    Io(#[from] io::Error),
    /// The strategy found no move.
    #[error("drawing a walk: {0}")]
    Draw(String),
    #[error("interrupted")]
    Interrupted,
}

/// Runs walks on a kernel.
pub trait Tester {
    /// Runs a walk, and judges it.
    fn test(&mut self, script: &Script) -> Result<Record, WalkError>;
}

/// Runs walks in its own guest, which is replaced after a walk that spoils it.
pub struct WalkRunner<'a> {
    lab: &'a Lab,
    cancel: &'a Cancel,
    guest: Option<Guest>,
    folder: TempDir,
}

impl<'a> WalkRunner<'a> {
    /// Returns a runner. The guest is booted for the first walk.
    pub fn new(lab: &'a Lab, cancel: &'a Cancel) -> io::Result<Self> {
        Ok(Self {
            lab,
            cancel,
            guest: None,
            folder: TempDir::with_prefix("walk-")?,
        })
    }

    fn run(&mut self, case: &Case, sources: &Sources) -> Result<Record, WalkError> {
        let suits = |guest: &Guest| guest.suits(case);
        let (mut guest, boot) = match self.guest.take().filter(suits) {
            Some(guest) => (guest, None),
            None => {
                let (_, guest) = self.lab.boot()?;
                let complaint = guest.complaint();
                (guest, complaint)
            }
        };
        let mut ran = self.lab.run_from(case, sources, &mut guest);
        if let Some(complaint) = boot.or(ran.complaint_before.take()) {
            // No walk is to blame, but the kernel is.
            ran.record.verdict = Verdict::Splat;
            ran.record.reason = Some(format!("before the walk: {complaint}"));
        }
        if !ran.guest_spoiled {
            self.guest = Some(guest);
        }
        if self.cancel.is_cancelled() {
            return Err(WalkError::Interrupted);
        }
        Ok(ran.record)
    }

    fn read(&self, script: &Script) -> Result<Corpus, WalkError> {
        fs::write(self.folder.path().join("walk.yaml"), &script.text)?;
        load_corpus(self.folder.path()).map_err(|error| WalkError::Case(error.to_string()))
    }
}

impl Tester for WalkRunner<'_> {
    fn test(&mut self, script: &Script) -> Result<Record, WalkError> {
        let Corpus { cases, sources, .. } = self.read(script)?;
        let empty = || WalkError::Case("it is empty".to_owned());
        let case = cases.first().ok_or_else(empty)?;
        let record = self.run(case, &sources)?;
        // A crash of QEMU is not the kernel's fault, so the walk is tried once more.
        if record.verdict == Verdict::Error {
            return self.run(case, &sources);
        }
        Ok(record)
    }
}

impl Drop for WalkRunner<'_> {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.end();
        }
    }
}
