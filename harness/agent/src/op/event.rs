//! Eventfds, and waiting for them.

use std::{
    io::{Read, Write},
    os::fd::{IntoRawFd, OwnedFd},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::eventfd::{EfdFlags, EventFd},
};
use wire::{EventOp, Fd, Timeout};

use crate::{
    exec::{Executor, with_fd},
    op_error::{Done, ok},
};

impl Executor {
    pub fn event(&mut self, op: &EventOp) -> Done {
        match op {
            EventOp::Eventfd { .. } => {
                let fd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?;
                ok(OwnedFd::from(fd).into_raw_fd() as u64)
            }
            EventOp::Wait { fd, timeout } => self.wait(fd, *timeout),
            EventOp::Events { fd, timeout } => self.take_events(fd, *timeout),
            EventOp::Signal { fd } => {
                let written = self.with_file(fd, |mut file| file.write(&1u64.to_ne_bytes()))?;
                ok(written as u64)
            }
        }
    }

    fn take_events(&self, fd: &Fd, timeout: Timeout) -> Done {
        let (ready, _) = self.wait(fd, timeout)?;
        let mut count = [0; 8];
        if ready == 1 {
            self.with_file(fd, |mut file| file.read_exact(&mut count))?;
        }
        ok(u64::from_ne_bytes(count))
    }

    fn wait(&self, fd: &Fd, timeout: Timeout) -> Done {
        let timeout = PollTimeout::try_from(timeout.0).unwrap_or(PollTimeout::MAX);
        let ready = with_fd(self.fd(fd)?, |fd| {
            let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
            poll(&mut fds, timeout)
        })?;
        ok(ready as u64)
    }
}
