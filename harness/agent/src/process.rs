//! Processes that a case forks. Each is a copy of the case's own, and executes ops one at a time
//! until it is told to exit.

use std::{
    collections::HashMap,
    io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork},
};
use serde::{Deserialize, Serialize};
use wire::{Observed, Op, Outcome, read_frame, write_frame};

use crate::pidfd::pidfd;

/// Values by name, shared by all processes of a case.
pub type Slots = HashMap<String, u64>;

/// Forked processes by name.
#[derive(Default)]
pub struct Processes(HashMap<String, Process>);

struct Process {
    pid: Pid,
    link: UnixStream,
}

/// An op for a process.
#[derive(Serialize, Deserialize)]
struct Task {
    slots: Slots,
    op: Op,
}

/// Which side of a fork this is.
pub enum Side {
    /// The process that forked.
    Parent,
    /// The new process, which has to [`serve`] this link and then exit.
    Child(UnixStream),
}

impl Processes {
    /// Forks this process. The copy closes its links to the other processes, which belong to the
    /// parent.
    pub fn fork(&mut self, name: &str) -> io::Result<Side> {
        let (link, theirs) = UnixStream::pair()?;
        // SAFETY: the agent has one thread, so the child may do whatever the parent may.
        match unsafe { fork()? } {
            ForkResult::Child => {
                drop(link);
                self.disown();
                Ok(Side::Child(theirs))
            }
            ForkResult::Parent { child: pid } => {
                self.0.insert(name.to_owned(), Process { pid, link });
                Ok(Side::Parent)
            }
        }
    }

    /// Forgets the processes without ending them: they belong to the parent.
    fn disown(&mut self) {
        for (_, process) in self.0.drain() {
            process.disown();
        }
    }

    /// Lets a process execute an op. Returns `None` if there is no process of this name.
    pub fn execute(&mut self, name: &str, slots: &Slots, op: &Op) -> Option<Outcome> {
        match self.start(name, slots, op)? {
            Ok(()) => self.finish(name),
            Err(why) => Some(broken(name, &why)),
        }
    }

    /// Tells a process to execute an op. Returns `None` if there is no process of this name.
    pub fn start(
        &mut self,
        name: &str,
        slots: &Slots,
        op: &Op,
    ) -> Option<Result<(), wire::FrameError>> {
        Some(self.0.get_mut(name)?.start(slots, op))
    }

    /// Waits for the outcome of the op that a process was told to execute. Returns `None` if there
    /// is no process of this name.
    pub fn finish(&mut self, name: &str) -> Option<Outcome> {
        let outcome = self.0.get_mut(name)?.finish();
        Some(outcome.unwrap_or_else(|why| broken(name, &why)))
    }

    /// Copies a descriptor of another process. Returns `None` if there is no process of this name.
    pub fn descriptor(&self, name: &str, fd: u64) -> Option<io::Result<OwnedFd>> {
        Some(self.0.get(name)?.descriptor(fd as i32))
    }

    /// Waits until a process is blocked. Returns `None` if there is no process of this name.
    pub fn wait_blocked(&self, name: &str, timeout: Duration) -> Option<io::Result<()>> {
        Some(self.0.get(name)?.wait_blocked(timeout))
    }

    /// Sends a process a signal that it handles. Returns `None` if there is no process of this name.
    pub fn interrupt(&self, name: &str) -> Option<nix::Result<()>> {
        Some(kill(self.0.get(name)?.pid, INTERRUPT))
    }

    /// Lets a process end and waits for it. Returns `None` if there is no process of this name.
    pub fn exit(&mut self, name: &str) -> Option<nix::Result<WaitStatus>> {
        Some(self.0.remove(name)?.exit())
    }
}

impl Process {
    fn start(&mut self, slots: &Slots, op: &Op) -> Result<(), wire::FrameError> {
        let task = Task {
            slots: slots.clone(),
            op: op.clone(),
        };
        write_frame(&mut self.link, &task)
    }

    fn finish(&mut self) -> Result<Outcome, wire::FrameError> {
        read_frame(&mut self.link)
    }

    fn descriptor(&self, fd: i32) -> io::Result<OwnedFd> {
        let process = pidfd(self.pid)?;
        // SAFETY: plain system call; a result that is no error is a new descriptor of ours.
        unsafe {
            let copy = libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0);
            Ok(OwnedFd::from_raw_fd(Errno::result(copy)? as i32))
        }
    }

    /// Waits until a process is blocked. It may sleep briefly on its way, so it counts as blocked
    /// if it has not run between two checks.
    fn wait_blocked(&self, timeout: Duration) -> io::Result<()> {
        let deadline = Instant::now() + timeout;
        let path = format!("/proc/{}/status", self.pid);
        let mut before = None;
        while Instant::now() < deadline {
            let now = sleeps(&std::fs::read_to_string(&path)?);
            if now.is_some() && now == before {
                return Ok(());
            }
            before = now;
            std::thread::sleep(BETWEEN_LOOKS);
        }
        Err(io::Error::from_raw_os_error(libc::ETIMEDOUT))
    }

    fn exit(self) -> nix::Result<WaitStatus> {
        let _ = self.link.shutdown(std::net::Shutdown::Both);
        let status = waitpid(self.pid, None);
        self.disown();
        status
    }

    /// Drops the link and nothing else.
    fn disown(self) {
        let mut process = std::mem::ManuallyDrop::new(self);
        // SAFETY: the process is never used again, and never dropped.
        unsafe { std::ptr::drop_in_place(&raw mut process.link) };
    }
}

/// The agent has a handler for it, which forked processes inherit and which means nothing to them.
const INTERRUPT: Signal = crate::case::STOP;

/// Interval between checks: long enough for a delayed process to run once.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Returns how often a process has gone to sleep, if it is in an uninterruptible sleep.
fn sleeps(status: &str) -> Option<u64> {
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let uninterruptible = field("State:")?.trim().starts_with('D');
    let count = field("voluntary_ctxt_switches:")?.trim().parse().ok()?;
    uninterruptible.then_some(count)
}

fn broken(name: &str, why: &wire::FrameError) -> Outcome {
    Outcome {
        observed: Observed::Broken {
            why: format!("process {name}: {why}"),
        },
        us: 0,
    }
}

/// Kills the process, so that a case never leaves one behind.
impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill(self.pid, Signal::SIGKILL);
        let _ = waitpid(self.pid, None);
    }
}

/// Executes ops from the link until its other end is closed.
pub fn serve(mut link: UnixStream, mut execute: impl FnMut(Slots, &Op) -> Outcome) {
    while let Ok(Task { slots, op }) = read_frame::<Task>(&mut link) {
        if write_frame(&mut link, &execute(slots, &op)).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::blocked("State:\tD (disk sleep)\nvoluntary_ctxt_switches:\t7\n", Some(7))]
    #[case::waits_for_anything("State:\tS (sleeping)\nvoluntary_ctxt_switches:\t7\n", None)]
    #[case::runs("State:\tR (running)\nvoluntary_ctxt_switches:\t7\n", None)]
    #[case::nothing("", None)]
    #[case::no_count("State:\tD (disk sleep)\n", None)]
    fn only_a_sleep_that_the_kernel_ends_counts(#[case] status: &str, #[case] want: Option<u64>) {
        assert_eq!(sleeps(status), want);
    }
}
