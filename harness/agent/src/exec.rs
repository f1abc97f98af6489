//! Executes the ops of a plan, one after the other, in the case's own process.

use std::{
    fs::File,
    io,
    mem::ManuallyDrop,
    os::fd::{BorrowedFd, FromRawFd, RawFd},
    time::Instant,
};

use nix::errno::Errno;
use wire::{Fd, Observed, Op, Outcome, Patch, Value};

use crate::{
    dma_engine::DmaEngines,
    injection::Injection,
    op_error::{Done, OpError},
    process::{Processes, Slots},
};

/// Executes ops with the values that earlier ops saved, and the devices and processes in use.
#[derive(Default)]
pub struct Executor {
    pub slots: Slots,
    pub engines: DmaEngines,
    pub processes: Processes,
    /// Failure that is injected into the next system call that a case is about.
    pub inject: Option<Injection>,
}

impl Executor {
    /// Executes one op and returns its outcome.
    pub fn execute(&mut self, op: &Op) -> Outcome {
        let outcome = self.execute_keeping_bus_master(op);
        self.engines.restore_command();
        outcome
    }

    /// Like [`Self::execute`], for an op that is followed by DMA: devices stay enabled for DMA,
    /// because enabling them takes longer than the DMA itself.
    pub fn execute_keeping_bus_master(&mut self, op: &Op) -> Outcome {
        let outcome = match op {
            Op::Ioctl(op) => self.timed(|to| to.ioctl(op)),
            Op::Memory(op) => self.timed(|to| to.memory(op)),
            Op::File(op) => self.timed(|to| to.file(op)),
            Op::Event(op) => self.timed(|to| to.event(op)),
            Op::Pci(op) => self.timed(|to| to.pci(op)),
            Op::Dma(op) => self.timed(|to| to.dma(op)),
            Op::Process(op) => self.timed(|to| to.process(op)),
            Op::Control(op) => self.control(op),
        };
        for left in op.leaves(&outcome) {
            self.slots.insert(left.target.slot().to_owned(), left.value);
        }
        outcome
    }

    fn timed(&mut self, perform: impl FnOnce(&mut Self) -> Done) -> Outcome {
        let start = Instant::now();
        let observed = match perform(self) {
            Ok((ret, data)) => Observed::Ok { ret, data },
            Err(error) => error.into(),
        };
        Outcome {
            observed,
            us: start.elapsed().as_micros() as u64,
        }
    }

    /// Makes a system call that a case is about, and injects a failure if requested.
    pub fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        match &mut self.inject {
            None => call(),
            Some(injection) => injection.call(call),
        }
    }

    pub fn value(&self, value: &Value) -> Result<u64, OpError> {
        match value {
            Value::Const(number) => Ok(*number),
            Value::Slot { name, add } => {
                let base = self.slots.get(name);
                let base = base.ok_or_else(|| OpError::Missing(name.clone()))?;
                Ok(base.wrapping_add(*add))
            }
        }
    }

    pub fn fd(&self, fd: &Fd) -> Result<RawFd, OpError> {
        Ok(self.value(&fd.0)? as RawFd)
    }

    /// Returns the bytes with the values that only this process knows.
    pub fn patched(&self, bytes: &[u8], patches: &[Patch]) -> Result<Vec<u8>, OpError> {
        let mut bytes = bytes.to_vec();
        for patch in patches {
            let value = self.value(&patch.value)?.to_le_bytes();
            let width = patch.width.bytes();
            // A case may give a struct that is too short for one of its fields.
            for (to, from) in bytes.iter_mut().skip(patch.offset).zip(&value[..width]) {
                *to = *from;
            }
        }
        Ok(bytes)
    }

    pub fn with_file<T>(
        &self,
        fd: &Fd,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, OpError> {
        Ok(work(&*self.borrowed(fd)?)?)
    }

    /// A descriptor as a file, which stays open when this is dropped.
    pub fn borrowed(&self, fd: &Fd) -> Result<ManuallyDrop<File>, OpError> {
        // SAFETY: borrowed, since ManuallyDrop keeps it open.
        let file = unsafe { File::from_raw_fd(self.fd(fd)?) };
        Ok(ManuallyDrop::new(file))
    }
}

pub fn with_fd<T>(
    fd: RawFd,
    work: impl FnOnce(BorrowedFd<'_>) -> nix::Result<T>,
) -> Result<T, OpError> {
    if fd < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: used for this call only; a closed descriptor gives EBADF, which is an outcome.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    Ok(work(fd)?)
}

#[cfg(test)]
mod tests {
    use wire::{
        ControlOp, Counter, EventOp, MemoryKind, MemoryOp, NewFd, NewMapping, ProcessOp, Timeout,
        Width,
    };

    use super::*;
    use crate::{
        guard,
        memory::{PAGE, peek},
    };

    fn within(process: &str, op: Op) -> Op {
        let (process, op) = (process.to_owned(), Box::new(op));
        ControlOp::In { process, op }.into()
    }

    fn page(name: &str, fill: u8) -> Op {
        let (length, slot) = (PAGE, name.to_owned());
        MemoryOp::Alloc {
            kind: MemoryKind::Anonymous,
            fill,
            save: NewMapping { length, slot },
        }
        .into()
    }

    fn load(at: Value) -> Op {
        let width = Width::W1;
        MemoryOp::Load { at, width }.into()
    }

    fn store(at: Value, width: Width, value: Value) -> Op {
        MemoryOp::Store { at, width, value }.into()
    }

    fn repeat(times: u64, op: Op) -> Op {
        let (counter, op) = (Counter("n".to_owned()), Box::new(op));
        ControlOp::Repeat { times, counter, op }.into()
    }

    fn returned(outcome: Outcome) -> u64 {
        match outcome.observed {
            Observed::Ok { ret, .. } => ret,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_shared_and_memory_is_not() {
        guard::install().unwrap();
        let mut executor = Executor::default();
        let process = "child".to_owned();
        let load = load(Value::slot("page"));
        let store = store(Value::slot("page"), Width::W1, Value::Const(7));
        let fork = ProcessOp::Fork {
            process: process.clone(),
        };
        returned(executor.execute(&page("page", 1)));
        returned(executor.execute(&fork.into()));
        returned(executor.execute(&within(&process, store)));
        let theirs = executor.execute(&within(&process, load.clone()));
        assert_eq!(returned(theirs), 7);
        assert_eq!(returned(executor.execute(&load)), 1);
        returned(executor.execute(&within(&process, page("another", 0))));
        assert!(executor.slots.contains_key("another"));
        let exit = Op::from(ProcessOp::Exit { process });
        assert_eq!(returned(executor.execute(&exit)), 0);
        let missing = "child".to_owned();
        assert_eq!(
            executor.execute(&exit).observed,
            Observed::NotRun { missing }
        );
    }

    #[test]
    fn an_op_is_repeated_until_it_fails() {
        guard::install().unwrap();
        let mut executor = Executor::default();
        returned(executor.execute(&page("page", 0)));
        let store = store(Value::slot("page"), Width::W8, Value::slot("n"));
        returned(executor.execute(&repeat(5, store)));
        let page = executor.slots["page"];
        assert_eq!(peek(page, 8).ok(), Some(vec![4, 0, 0, 0, 0, 0, 0, 0]));
        // Nothing is mapped at address 0, so the first load faults.
        let fault = executor
            .execute(&repeat(5, load(Value::slot("n"))))
            .observed;
        assert_eq!(fault, Observed::Signal(libc::SIGSEGV));
        assert_eq!(executor.slots["n"], 0);
    }

    fn together(ops: Vec<Op>) -> Op {
        let delays = vec![0, 50];
        ControlOp::Together { ops, delays }.into()
    }

    fn ended(outcome: Outcome) -> Vec<Outcome> {
        match outcome.observed {
            Observed::Together(racers) => racers.into_iter().map(|it| it.outcome).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ops_at_once_share_descriptors_and_what_they_save() {
        let mut executor = Executor::default();
        let eventfd = |name: &str| {
            let save = NewFd(name.to_owned());
            Op::from(EventOp::Eventfd { save })
        };
        let made = executor.execute(&together(vec![eventfd("one"), eventfd("two")]));
        for (outcome, name) in ended(made).into_iter().zip(["one", "two"]) {
            assert_eq!(returned(outcome), executor.slots[name]);
        }
        // The waiting thread is released by the other one.
        let fd = Fd::slot("one");
        let events = EventOp::Events {
            fd: fd.clone(),
            timeout: Timeout(60_000),
        };
        let signal = EventOp::Signal { fd };
        let both = executor.execute(&together(vec![events.into(), signal.into()]));
        assert_eq!(returned(ended(both).swap_remove(0)), 1);
    }
}
