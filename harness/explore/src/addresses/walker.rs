//! Runs the walks in guests.

use std::{
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use case::Corpus;
use runner::{
    exit::Exit, lab::Lab, options::MachineOptions, output::Output, run::Cancel, snapshot::Mode,
};
use vm_images::Terminal;

use super::{
    minimize::{AddressDivergence, divergence},
    options::AddressWalks,
    report::Totals,
};
use crate::{
    error::ExploreError,
    progress::progress_bar,
    walk_runner::{Tester, WalkError, WalkRunner},
};

/// Processors of a guest. Calls that race need two.
const PROCESSORS: u32 = 2;

impl AddressWalks {
    /// Draws the walks, runs them on a kernel, and prints what was found.
    pub fn run(&self, machine: &MachineOptions, cancel: &Cancel) -> Result<Exit, ExploreError> {
        let machine = MachineOptions {
            processors: machine.processors.or(Some(PROCESSORS)),
            ..machine.clone()
        };
        let progress = Terminal::new();
        let lab = Lab::open(&machine, Corpus::default(), Mode::Ignore, &progress)?;
        drop(progress);
        cancel.watch();
        self.announce(&lab)?;
        let workers = Workers {
            walks: self,
            lab: &lab,
            cancel,
            next: AtomicU64::new(self.first),
            totals: Mutex::default(),
        };
        let since = Instant::now();
        let (totals, failed) = workers.work(machine.jobs());
        let exit = totals.report(self, &lab, since.elapsed())?;
        match failed {
            _ if cancel.is_cancelled() => Ok(Exit::Interrupted),
            // A divergence that was found counts, whatever happened to the other walks.
            Some(error) if exit == Exit::Failed => {
                eprintln!("error: {error}");
                Ok(exit)
            }
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }

    /// Draws the walk of this number and runs it. A walk that diverges is shortened.
    pub fn walk(
        &self,
        number: u64,
        tester: &mut dyn Tester,
    ) -> Result<Option<AddressDivergence>, WalkError> {
        divergence(&self.draw(number), tester)
    }

    fn announce(&self, lab: &Lab) -> io::Result<()> {
        let mut out = Output::stdout();
        writeln!(out, "{}", lab.header())?;
        writeln!(
            out,
            "{} walks of {} moves through address spaces, seed {}",
            self.count(),
            self.length,
            self.seed
        )
    }
}

/// Threads that run the walks, each in its own guest.
struct Workers<'a> {
    walks: &'a AddressWalks,
    lab: &'a Lab,
    cancel: &'a Cancel,
    next: AtomicU64,
    totals: Mutex<Totals>,
}

impl Workers<'_> {
    /// Runs all walks, and returns the results and the first failure of a worker.
    fn work(self, jobs: usize) -> (Totals, Option<ExploreError>) {
        let count = self.walks.count();
        let bar = progress_bar(count);
        let failed = std::thread::scope(|scope| {
            let jobs = (jobs as u64).min(count);
            let work = || self.run_walks(|| bar.inc(1));
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            // All are joined: the scope panics if a thread is not that has panicked.
            let ended: Vec<_> = threads.into_iter().map(|it| it.join()).collect();
            ended.into_iter().find_map(|ended| match ended {
                Ok(ended) => ended.err(),
                Err(_) => Some(ExploreError::Panicked),
            })
        });
        bar.finish_and_clear();
        let totals = self.totals.into_inner();
        (totals.unwrap_or_else(PoisonError::into_inner), failed)
    }

    fn run_walks(&self, tell: impl Fn()) -> Result<(), ExploreError> {
        let end = self.walks.first.saturating_add(self.walks.count());
        let mut runner = WalkRunner::new(self.lab, self.cancel)?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= end || self.cancel.is_cancelled() {
                return Ok(());
            }
            let found = match self.walks.walk(number, &mut runner) {
                Ok(found) => found,
                Err(WalkError::Interrupted) => return Ok(()),
                Err(error) => {
                    self.next.store(end, Ordering::Relaxed); // the others begin nothing new
                    return Err(ExploreError::Walk(number, error));
                }
            };
            tell();
            let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.add(number, self.walks.length, found);
            if totals.is_enough() {
                self.next.store(end, Ordering::Relaxed);
            }
        }
    }
}
