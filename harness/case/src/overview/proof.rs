//! Which cases prove what.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use crate::{corpus::Corpus, expect::WantEnd, file::Case};

/// How a call can end, as far as a case says so explicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// It succeeds.
    Ok,
    /// With this errno.
    Errno(&'static str),
}

/// Tests by file.
pub type Tests = BTreeMap<PathBuf, BTreeSet<String>>;

/// Tests for each ioctl and each way it ends.
#[derive(Debug, Default)]
pub struct Proofs(BTreeMap<(&'static str, End), Tests>);

impl Proofs {
    /// What the cases expect. A case that is known to fail proves nothing.
    pub fn of(corpus: &Corpus) -> Self {
        let mut proofs = Self::default();
        for case in corpus.cases.iter().filter(|case| !case.fails_everywhere()) {
            proofs.add(case, corpus.sources.path(case.at.file).to_owned());
        }
        proofs
    }

    fn add(&mut self, case: &Case, file: PathBuf) {
        let calls = case.steps.iter().filter_map(|step| step.ioctl());
        let ends = calls.filter_map(|(ioctl, end)| Some((ioctl.name, name(end)?)));
        for key in ends {
            let tests = self.0.entry(key).or_default();
            tests
                .entry(file.clone())
                .or_default()
                .insert(case.id.clone());
        }
    }

    /// The tests in which an ioctl ends like this.
    pub fn tests(&self, ioctl: &'static str, end: End) -> Option<&Tests> {
        self.0.get(&(ioctl, end))
    }

    /// How many they are.
    pub fn count(&self, ioctl: &'static str, end: End) -> usize {
        let tests = self.tests(ioctl, end).into_iter().flatten();
        tests.map(|(_, tests)| tests.len()).sum()
    }

    /// The errnos that are proved for an ioctl.
    pub fn errnos(&self, ioctl: &'static str) -> impl Iterator<Item = &'static str> {
        let own = self.0.keys().filter(move |(name, _)| *name == ioctl);
        own.filter_map(|(_, end)| match end {
            End::Errno(errno) => Some(*errno),
            End::Ok => None,
        })
    }
}

fn name(end: &WantEnd) -> Option<End> {
    match end {
        WantEnd::Success => Some(End::Ok),
        WantEnd::Errno(number) => uapi::errno_name(*number).map(End::Errno),
        _ => None,
    }
}
