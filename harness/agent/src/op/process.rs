//! Processes, their rights and limits.

use std::{
    io,
    os::fd::{IntoRawFd, OwnedFd},
    time::Duration,
};

use nix::sys::wait::WaitStatus;
use wire::{Fd, Observed, ProcessOp};

use crate::{
    binary,
    exec::Executor,
    fault,
    op_error::{Done, OpError, broken, ok},
    process::{self, Side},
    rights, uffd,
};

impl Executor {
    pub fn process(&mut self, op: &ProcessOp) -> Done {
        match op {
            ProcessOp::Fork { process } => self.fork(process),
            ProcessOp::Exit { process } => self.exit(process),
            ProcessOp::UffdBlock { at, length, .. } => {
                let fd = uffd::block(self.value(at)?, *length)?;
                ok(fd.into_raw_fd() as u64)
            }
            ProcessOp::WaitFault {
                process,
                uffd,
                timeout,
                ..
            } => {
                let fd = self.descriptor(process, uffd)?;
                ok(uffd::wait_fault(fd, timeout.duration())?)
            }
            ProcessOp::UffdResume { process, uffd, at } => {
                uffd::resume(&self.descriptor(process, uffd)?, self.value(at)?)?;
                ok(0)
            }
            ProcessOp::WaitBlocked { process, timeout } => {
                let blocked = self.processes.wait_blocked(process, timeout.duration());
                blocked.ok_or_else(|| OpError::Missing(process.clone()))??;
                ok(0)
            }
            ProcessOp::Interrupt { process } => {
                let sent = self.processes.interrupt(process);
                sent.ok_or_else(|| OpError::Missing(process.clone()))??;
                ok(0)
            }
            ProcessOp::Capability { number, effective } => {
                rights::set_capability(*number, *effective)?;
                ok(0)
            }
            ProcessOp::Rlimit { resource, limit } => {
                rights::set_limit(*resource, *limit)?;
                ok(0)
            }
            ProcessOp::User { id } => {
                rights::become_user(*id)?;
                ok(0)
            }
            ProcessOp::LockedVm { counter } => ok(rights::locked_vm(*counter)?),
            ProcessOp::Program { path, args, limit } => {
                Ok(binary::run(path, args, Duration::from_millis(limit.0))?)
            }
            ProcessOp::Fault { fault } => fault::commit(*fault),
        }
    }

    fn descriptor(&self, process: &str, fd: &Fd) -> Result<OwnedFd, OpError> {
        let fd = self.value(&fd.0)?;
        let copy = self.processes.descriptor(process, fd);
        Ok(copy.ok_or_else(|| OpError::Missing(process.to_owned()))??)
    }

    fn fork(&mut self, name: &str) -> Done {
        if let Side::Child(link) = self.processes.fork(name)? {
            process::serve(link, |slots, op| {
                self.slots = slots;
                self.execute(op)
            });
            // SAFETY: ends without running the destructors of what the parent still uses.
            unsafe { libc::_exit(0) };
        }
        ok(0)
    }

    fn exit(&mut self, name: &str) -> Done {
        let status = self.processes.exit(name);
        match status.ok_or_else(|| OpError::Missing(name.to_owned()))?? {
            WaitStatus::Signaled(_, signal, _) => {
                Err(OpError::Observed(Observed::Signal(signal as i32)))
            }
            WaitStatus::Exited(_, code) => ok(code as u64),
            other => Err(broken(&io::Error::other(format!(
                "process {name}: {other:?}"
            )))),
        }
    }
}
