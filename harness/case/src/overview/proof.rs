//! Which cases prove what.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use crate::{
    corpus::Corpus,
    expect::WantEnd,
    file::Case,
    steps::{Step, ioctl::Ioctl},
};

/// How a call ends, if a case says so explicitly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// The call succeeds.
    Ok,
    /// With this errno.
    Errno(&'static str),
}

/// The subject of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Name of the ioctl.
    pub ioctl: &'static str,
    /// One of its parts, such as a feature of a device; `None` is the whole ioctl.
    pub part: Option<&'static str>,
}

/// Tests by file.
pub type Tests = BTreeMap<PathBuf, BTreeSet<String>>;

/// Tests for each ioctl, each of its parts, and each way it ends.
#[derive(Debug, Default)]
pub struct Proofs(BTreeMap<(Subject, End), Tests>);

impl Proofs {
    /// Collects what the cases expect. A case that is known to fail proves nothing.
    pub fn of(corpus: &Corpus) -> Self {
        let mut proofs = Self::default();
        for case in corpus.cases.iter().filter(|case| !case.fails_everywhere()) {
            proofs.add(case, corpus.sources.path(case.at.file).to_owned());
        }
        proofs
    }

    fn add(&mut self, case: &Case, file: PathBuf) {
        for step in case.steps.iter().flat_map(Step::flattened) {
            // A kernel that knows what a call is about does not get one that is for older ones.
            let Some(call) = step.ioctl().filter(|call| call.unknown.is_none()) else {
                continue;
            };
            let injected = step.injected().and_then(uapi::errno_name);
            let ends = name(call.wanted()).into_iter();
            for end in ends.chain(injected.map(End::Errno)) {
                self.insert(call, end, &file, &case.id);
            }
        }
    }

    fn insert(&mut self, call: &Ioctl, end: End, file: &Path, id: &str) {
        let part = call.part().map(|part| Some(part.short()));
        for part in [None].into_iter().chain(part) {
            let ioctl = call.made().name;
            let tests = self.0.entry((Subject { ioctl, part }, end)).or_default();
            tests
                .entry(file.to_owned())
                .or_default()
                .insert(id.to_owned());
        }
    }

    /// Returns the tests in which it ends like this.
    pub fn tests(&self, subject: Subject, end: End) -> Option<&Tests> {
        self.0.get(&(subject, end))
    }

    /// Returns the number of these tests.
    pub fn count(&self, subject: Subject, end: End) -> usize {
        let tests = self.tests(subject, end).into_iter().flatten();
        tests.map(|(_, tests)| tests.len()).sum()
    }

    /// Returns the errnos with a test.
    pub fn errnos(&self, subject: Subject) -> impl Iterator<Item = &'static str> {
        let own = self.0.keys().filter(move |(known, _)| *known == subject);
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
