//! Events of a run. Every output reads the same stream.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    record::{Record, RunFacts},
    summary::Summary,
};

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run begins.
    Started {
        /// Facts known so far.
        facts: Box<RunFacts>,
        /// Number of selected cases by their folder.
        folders: BTreeMap<String, usize>,
    },
    /// A guest said hello.
    GuestUp {
        /// Its number in this run.
        boot: usize,
        /// From the start of QEMU to the handshake.
        took: Duration,
        /// Why the previous guest of the same worker was given up.
        instead: Option<String>,
    },
    /// A guest was given up, and its counters were stored or could not be.
    Counters {
        /// Its number in this run.
        boot: usize,
        /// Number of files, or why there are none.
        kept: Result<usize, String>,
    },
    /// A case begins.
    CaseStarted {
        /// Its id.
        id: String,
    },
    /// A case is judged.
    CaseEnded(Box<Record>),
    /// A snapshot was stored; its path and what changed.
    Blessed(String),
    /// The run is over.
    Ended(Box<Summary>),
}

/// One output.
pub trait Sink {
    /// Takes the next event.
    fn take(&mut self, event: &Event) -> std::io::Result<()>;
}
