//! Runs one case: one child process for its ops, and a second one to undo them.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, OwnedFd},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::{
        signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::{ForkResult, Pid, fork, pipe, setpgid},
};
use wire::{End, FrameError, HostAction, Observed, Op, Outcome, PciOp, Plan, Reply, frame};

use serde::{Deserialize, Serialize};

use crate::{exec::Executor, guard, leak, pidfd::pidfd, stopwatch::Stopwatch, survey, sysfs};

/// What a child sends through its pipe.
#[derive(Serialize, Deserialize)]
pub enum Told {
    /// The outcome of the op at this position.
    Step(usize, Outcome),
    /// The current op is performed by the host.
    Asks(HostAction),
    /// All ops are executed and everything is closed.
    Ended {
        /// Memory that is still accounted to the process.
        leaked: Vec<String>,
        /// How long its phases took.
        took: Took,
    },
}

/// Phases of a process that executes ops, in microseconds.
#[derive(Default, Clone, Copy, Serialize, Deserialize)]
pub struct Took {
    /// Until the first op.
    pub fork: u64,
    /// All ops.
    pub ops: u64,
    /// Closing everything.
    pub close: u64,
}

/// Tells a child to stop after the current op.
pub const STOP: Signal = Signal::SIGUSR1;
/// Exit code of a child that was told to stop.
pub const STOPPED: i32 = 5;

static TOLD_TO_STOP: AtomicBool = AtomicBool::new(false);

extern "C" fn told_to_stop(_: i32) {
    TOLD_TO_STOP.store(true, Ordering::Relaxed);
}

/// Installs the handler for [`STOP`]. A blocking call ends with EINTR when the signal comes and is
/// not restarted.
fn heed_stop() -> nix::Result<()> {
    let handler = SigHandler::Handler(told_to_stop);
    let action = SigAction::new(handler, SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler only stores to an atomic.
    unsafe { sigaction(STOP, &action) }.map(drop)
}

/// A process that executes ops and sends each outcome through a pipe.
pub struct Child {
    pid: Pid,
    exit: OwnedFd,
    /// Frames of [`Told`].
    pub told: File,
    answers: File,
}

impl Child {
    /// Starts a process that executes `ops`, and reports each outcome to the host if there is one.
    pub fn start(ops: &[Op], host: Option<Host<'_>>) -> io::Result<Self> {
        let clock = Stopwatch::start();
        let (read, write) = pipe()?;
        let (read_answer, write_answer) = pipe()?;
        // SAFETY: the agent has one thread, so the child may do whatever the parent may.
        match unsafe { fork()? } {
            ForkResult::Child => {
                drop((read, write_answer));
                survey::close_kept();
                let link = Link {
                    host,
                    to: File::from(write),
                    from: File::from(read_answer),
                };
                let code = child(ops, clock, link);
                // SAFETY: ends without running the parent's destructors.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child } => {
                let _ = setpgid(child, child); // both sides set it: no race
                Ok(Self {
                    pid: child,
                    exit: pidfd(child)?,
                    told: File::from(read),
                    answers: File::from(write_answer),
                })
            }
        }
    }

    /// Readable once the process has ended.
    pub fn exit(&self) -> impl AsFd + '_ {
        self.exit.as_fd()
    }

    /// Passes on the host's answer. A process that has died in the meantime needs no answer.
    pub fn answer(&mut self, done: Option<String>) {
        let _ = frame::write_frame(&mut self.answers, &done);
    }

    /// Returns what is still in the pipe of a process that has ended. Does not block, because a
    /// descendant may hold the other end open.
    pub fn left_over(&mut self) -> Vec<Told> {
        let mut left = Vec::new();
        if fcntl(&self.told, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).is_ok() {
            while let Ok(told) = frame::read_frame(&mut self.told) {
                left.push(told);
            }
        }
        left
    }

    /// Reaps the process after it has ended.
    pub fn reap(self) -> End {
        let end = match waitpid(self.pid, None) {
            Ok(WaitStatus::Exited(_, 0)) => End::Finished,
            Ok(WaitStatus::Exited(_, code)) => End::Exited { code },
            Ok(WaitStatus::Signaled(_, signal, _)) => End::Killed {
                signal: signal as i32,
            },
            other => {
                eprintln!("conformance agent: waiting for a case: {other:?}");
                End::Exited { code: -1 }
            }
        };
        self.kill_group();
        end
    }

    /// Asks the process to end after the current op, so that no device is left doing DMA.
    pub fn stop(&self) {
        let _ = kill(self.pid, STOP);
    }

    /// Kills the process and all processes that it started.
    pub fn kill_group(&self) {
        let _ = nix::sys::signal::killpg(self.pid, Signal::SIGKILL);
        let _ = kill(self.pid, Signal::SIGKILL);
    }

    /// Returns the kernel stacks of the process and of those it forked, to explain a hang.
    pub fn stack(&self) -> String {
        let own = self.pid.to_string();
        let forked = members_of_group(self.pid)
            .into_iter()
            .filter(|pid| *pid != own);
        let stacks = std::iter::once(own.clone()).chain(forked);
        stacks
            .map(|pid| stack_of(&pid))
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// Processes of a process group.
fn members_of_group(group: Pid) -> Vec<String> {
    sysfs::names("/proc")
        .into_iter()
        .filter(|pid| group_of(&sysfs::read(format!("/proc/{pid}/stat"))) == Some(group.as_raw()))
        .collect()
}

/// The process group in a line such as `7 (name) S PARENT GROUP ...`.
fn group_of(stat: &str) -> Option<i32> {
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(2)?.parse().ok()
}

fn stack_of(pid: &str) -> String {
    let proc = format!("/proc/{pid}");
    let stack = sysfs::read(format!("{proc}/stack"));
    if !stack.is_empty() {
        return stack;
    }
    let call = sysfs::read(format!("{proc}/syscall"));
    format!(
        "wchan {} syscall {call}",
        sysfs::read(format!("{proc}/wchan"))
    )
}

/// Reaps all processes that PID 1 inherited, and returns the names of those still alive.
pub fn reap_orphans() -> Vec<String> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) => break,
            Ok(_) => {}
            Err(_) => return Vec::new(), // ECHILD: nobody is left
        }
    }
    sysfs::names("/proc")
        .into_iter()
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && name != "1")
        .filter(|pid| !sysfs::read(format!("/proc/{pid}/cmdline")).is_empty())
        .map(|pid| format!("process {pid}"))
        .collect()
}

/// Describes the `restore` ops that failed.
pub fn restore_failures(plan: &Plan, outcomes: &[(usize, Outcome)]) -> Vec<String> {
    plan.restore
        .iter()
        .enumerate()
        .filter_map(|(index, op)| {
            let outcome = outcomes.iter().find(|(at, _)| *at == index).map(|(_, o)| o);
            match outcome.map(|o| &o.observed) {
                Some(Observed::Ok { .. }) => None,
                other => Some(format!("{op:?}: {other:?}")),
            }
        })
        .collect()
}

/// The link to the host on which the process of a case reports outcomes itself. No other process
/// has to run for that, and an outcome has left the guest before the next op may panic the kernel.
pub struct Host<'a> {
    /// The agent's port for replies.
    pub replies: &'a File,
    /// Token of the case.
    pub token: u64,
}

/// Maximum size of a write that the port's driver takes in one piece. Longer messages go through
/// the agent, whose own messages could otherwise come in between.
const IN_ONE_PIECE: usize = 32 << 10;

/// The connections of a process that executes ops.
struct Link<'a> {
    host: Option<Host<'a>>,
    /// Frames of [`Told`] to the agent.
    to: File,
    /// Its answers.
    from: File,
}

impl Link<'_> {
    fn tell_outcome(&mut self, index: usize, outcome: Outcome) -> Result<(), FrameError> {
        let Some(Host { replies, token }) = self.host else {
            return frame::write_frame(&mut self.to, &Told::Step(index, outcome));
        };
        let step = Reply::Step {
            token,
            index,
            outcome,
        };
        let frame = frame::encode(&step)?;
        match step {
            Reply::Step { outcome, .. } if frame.len() > IN_ONE_PIECE => {
                // From now on the agent passes everything on, so that nothing comes between the
                // pieces.
                self.host = None;
                self.tell_outcome(index, outcome)
            }
            _ => Ok((&mut &*replies).write_all(&frame)?),
        }
    }

    fn ask_host(&mut self, action: &HostAction) -> Outcome {
        let start = Instant::now();
        let asked = frame::write_frame(&mut self.to, &Told::Asks(action.clone()));
        let answer: Result<Option<String>, _> =
            asked.and_then(|()| frame::read_frame(&mut self.from));
        let observed = match answer {
            Ok(None) => Observed::Ok {
                ret: 0,
                data: Vec::new(),
            },
            Ok(Some(why)) => Observed::Broken { why },
            Err(error) => Observed::Broken {
                why: format!("asking the host for {action:?}: {error}"),
            },
        };
        Outcome {
            observed,
            us: start.elapsed().as_micros() as u64,
        }
    }
}

fn child(ops: &[Op], mut clock: Stopwatch, mut link: Link<'_>) -> i32 {
    let _ = setpgid(Pid::from_raw(0), Pid::from_raw(0));
    if guard::install().is_err() || heed_stop().is_err() {
        return 3;
    }
    let mut executor = Executor::default();
    let fork = clock.lap();
    for (index, op) in ops.iter().enumerate() {
        if TOLD_TO_STOP.load(Ordering::Relaxed) {
            return STOPPED;
        }
        let outcome = match op {
            Op::Pci(PciOp::Host { action }) => link.ask_host(action),
            op if matches!(ops.get(index + 1), Some(Op::Dma(_))) => {
                executor.execute_keeping_bus_master(op)
            }
            op => executor.execute(op),
        };
        if link.tell_outcome(index, outcome).is_err() {
            return 4;
        }
    }
    let executed = clock.lap();
    drop(executor); // the processes it forked have copies of every descriptor
    let leaked = leak::let_go(&link.to);
    let took = Took {
        fork,
        ops: executed,
        close: clock.lap(),
    };
    match frame::write_frame(&mut link.to, &Told::Ended { leaked, took }) {
        Ok(()) => 0,
        Err(_) => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::group_of;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(group_of("7 (a) b (c) S 1 5 5 0"), Some(5));
        assert_eq!(group_of(""), None);
    }
}
