//! Ops that execute other ops.

use std::{
    io,
    sync::Barrier,
    thread::{self, ScopedJoinHandle},
    time::Instant,
};

use wire::{ControlOp, Observed, Op, Outcome};

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
            ControlOp::Together { ops } => timed(|| self.together(ops)),
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
    fn together(&mut self, ops: &[Op]) -> Observed {
        let gate = Barrier::new(ops.len());
        let slots = &self.slots;
        let race = |op| {
            let mut own = Self {
                slots: slots.clone(),
                ..Self::default()
            };
            gate.wait();
            own.execute(op)
        };
        let ended: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = ops.iter().map(|op| scope.spawn(move || race(op))).collect();
            racers.into_iter().map(ScopedJoinHandle::join).collect()
        });
        // A thread that panics is a bug of the agent; the judge reports the missing outcome.
        Observed::Together(ended.into_iter().flatten().collect())
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
