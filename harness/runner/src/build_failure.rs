//! A kernel that cannot be built: a run with one failed record, so that a CI sees a failure of the
//! kernel and not of its own machine.

use std::{io, path::PathBuf};

use case::Corpus;

use crate::{
    event::{Event, Sink},
    lab::LabError,
    options::MachineOptions,
    record::{BUILD, Record, RunDir, RunFacts, timestamp},
    root::runs,
    summary::Summary,
};

/// The run.
#[derive(Debug)]
pub struct BuildFailure {
    dir: RunDir,
    facts: RunFacts,
    record: Record,
}

impl BuildFailure {
    /// Creates the folder of the run, and writes the record.
    pub fn new(options: &MachineOptions, why: &str) -> Result<Self, LabError> {
        let started = timestamp();
        let mut dir = RunDir::create(&runs(), options.record.as_deref(), &started)?;
        let record = Record::of_kernel(BUILD, &options.platform, why.to_owned());
        dir.add(&record)?;
        Ok(Self {
            dir,
            facts: RunFacts {
                started,
                platform: options.platform.clone(),
                kernel: "not built".to_owned(),
                build: options.build()?.described(),
                image: String::new(),
                configuration: None,
                qemu: "no QEMU started".to_owned(),
                accel: "none".to_owned(),
                why_not_kvm: None,
                jobs: options.jobs(),
                shuffle: None,
                interrupted: false,
                ms: 0,
                lacking: Vec::new(),
                unknown_names: Vec::new(),
                allowed: Vec::new(),
                counters: None,
            },
            record,
        })
    }

    /// The folder of the run.
    pub fn path(&self) -> PathBuf {
        self.dir.path.clone()
    }

    /// Tells the outputs, and writes the summary.
    pub fn tell(self, sinks: &mut [Box<dyn Sink>]) -> io::Result<Summary> {
        let started = Event::Started {
            facts: Box::new(self.facts.clone()),
            folders: [(BUILD.to_owned(), 1)].into(),
        };
        let summary = Summary::new(self.facts, vec![self.record.clone()], &Corpus::default());
        let report = serde_json::to_string_pretty(&summary).unwrap_or_default();
        self.dir.write("report.json", &report)?;
        let ended = Event::CaseEnded(Box::new(self.record));
        let events = [started, ended, Event::Ended(Box::new(summary.clone()))];
        for event in &events {
            sinks.iter_mut().try_for_each(|sink| sink.take(event))?;
        }
        Ok(summary)
    }
}
