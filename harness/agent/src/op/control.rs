//! Ops that execute other ops.

use std::{
    io,
    sync::atomic::{AtomicUsize, Ordering},
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use wire::{ControlOp, Observed, Op, Outcome, Racer};

use crate::{exec::Executor, injection, op_error::broken};

impl Executor {
    /// Executes the op. The outcome, including its time, is that of the inner op.
    pub fn control(&mut self, op: &ControlOp) -> Outcome {
        match op {
            ControlOp::In { process, op } => {
                let outcome = self.processes.execute(process, &self.slots, op);
                outcome.unwrap_or_else(|| no_process(process))
            }
            ControlOp::Finish { process, .. } => {
                let outcome = self.processes.finish(process);
                outcome.unwrap_or_else(|| no_process(process))
            }
            ControlOp::Start { process, op } => timed(|| self.start(process, op)),
            ControlOp::Repeat { times, counter, op } => {
                timed(|| self.repeat(*times, &counter.0, op))
            }
            ControlOp::FailNth { plan } => timed(|| injection::run(self, plan)),
            ControlOp::Together { ops, delays } => timed(|| self.together(ops, delays)),
        }
    }

    fn start(&mut self, process: &str, op: &Op) -> Observed {
        match self.processes.start(process, &self.slots, op) {
            None => Observed::NotRun {
                missing: process.to_owned(),
            },
            Some(Err(why)) => broken(&io::Error::other(why)).into(),
            Some(Ok(())) => Observed::Ok {
                ret: 0,
                data: Vec::new(),
            },
        }
    }

    /// Returns the outcome of the last execution.
    fn repeat(&mut self, times: u64, counter: &str, op: &Op) -> Observed {
        let mut observed = Observed::Ok {
            ret: 0,
            data: Vec::new(),
        };
        for turn in 0..times {
            self.slots.insert(counter.to_owned(), turn);
            observed = self.execute(op).observed;
            if !matches!(observed, Observed::Ok { .. }) {
                break;
            }
        }
        observed
    }

    /// Executes ops at once. Every thread has a copy of the values; the values that each saves are
    /// merged at the end.
    fn together(&mut self, ops: &[Op], delays: &[u32]) -> Observed {
        let gate = Gate::new(ops.len());
        let slots = &self.slots;
        let delays = delays.iter().copied().chain(std::iter::repeat(0));
        let race = |op, delay| {
            let mut own = Self {
                slots: slots.clone(),
                ..Self::default()
            };
            gate.pass(delay);
            let began = gate.elapsed();
            let outcome = own.execute(op);
            Racer {
                outcome,
                began,
                ended: gate.elapsed(),
            }
        };
        let race = &race;
        let ended: Vec<_> = thread::scope(|scope| {
            let pairs = ops.iter().zip(delays);
            let racers = pairs.map(|(op, delay)| scope.spawn(move || race(op, delay)));
            let racers: Vec<_> = racers.collect();
            racers.into_iter().map(ScopedJoinHandle::join).collect()
        });
        // A thread that panics is a bug of the agent; the judge reports the missing outcome.
        Observed::Together(ended.into_iter().flatten().collect())
    }
}

/// Lets threads go on together. They wait on a processor: threads that sleep are woken one after
/// the other, and the last one to come, which does not sleep, would nearly always win.
struct Gate {
    missing: AtomicUsize,
    made: Instant,
}

impl Gate {
    /// Returns a gate that opens when this many threads have come.
    fn new(threads: usize) -> Self {
        Self {
            missing: AtomicUsize::new(threads),
            made: Instant::now(),
        }
    }

    /// Returns when all threads have come, and this many microseconds have passed since.
    fn pass(&self, delay: u32) {
        self.missing.fetch_sub(1, Ordering::SeqCst);
        while self.missing.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        let (open, delay) = (Instant::now(), Duration::from_micros(delay.into()));
        while open.elapsed() < delay {
            thread::yield_now();
        }
    }

    /// Nanoseconds since the gate was made.
    fn elapsed(&self) -> u64 {
        self.made.elapsed().as_nanos() as u64
    }
}

fn timed(work: impl FnOnce() -> Observed) -> Outcome {
    let start = Instant::now();
    let observed = work();
    Outcome {
        observed,
        us: start.elapsed().as_micros() as u64,
    }
}

fn no_process(name: &str) -> Outcome {
    let missing = name.to_owned();
    Outcome {
        observed: Observed::NotRun { missing },
        us: 0,
    }
}
