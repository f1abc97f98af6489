//! The agent's main loop: receives requests, sends outcomes, and answers pings at any time.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wire::{End, FrameError, Phases, Plan, Reply, Request, read_frame, write_frame};

use crate::{
    case::{self, Child, Host, STOPPED, Told},
    checks, counters, facts,
    guest::{self, Ports},
    kmsg, new_slabs,
    stopwatch::Stopwatch,
    survey::Survey,
};

/// Time for a process to end after its current op, before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time for a killed process to end, and for all restore ops.
const GRACE: Duration = Duration::from_secs(10);

/// Sets the guest up, says hello and serves until the host ends it.
pub fn run() -> Result<(), FrameError> {
    guest::mount_all()?;
    guest::die_of_sigterm().map_err(io::Error::from)?;
    guest::load_modules();
    guest::reserve_huge_pages();
    if let Err(error) = new_slabs::leave_out() {
        eprintln!("conformance agent: failures may be injected into new slabs: {error}");
    }
    let mut agent = Agent {
        ports: Ports::open()?,
        log: kmsg::Log::open(),
        survey: Survey::new(),
    };
    let hello = Reply::Hello {
        revision: wire::REVISION.to_owned(),
        facts: facts::collect(&mut agent.survey),
    };
    write_frame(&mut agent.ports.replies, &hello)?;
    while agent.serve()? {}
    Ok(())
}

/// State that is kept from case to case.
struct Agent {
    ports: Ports,
    log: kmsg::Log,
    survey: Survey,
}

impl Agent {
    /// Answers one request. Returns false if the guest has to end.
    fn serve(&mut self) -> Result<bool, FrameError> {
        let Ports { requests, replies } = &mut self.ports;
        poll(&mut [readable(requests)], PollTimeout::NONE).map_err(io::Error::from)?;
        let mut clock = Stopwatch::start();
        match read_frame(requests)? {
            Request::PowerOff => return Ok(false),
            Request::Log => write_frame(replies, &Reply::Log(self.log.lines()))?,
            Request::Counters => counters::send(replies)?,
            Request::Checks(checks) => {
                let states = checks.into_iter().map(checks::state).collect();
                write_frame(replies, &Reply::Checks(states))?;
            }
            Request::Facts => {
                let facts = facts::collect(&mut self.survey);
                write_frame(replies, &Reply::Facts(facts))?;
            }
            Request::Ping { token } => write_frame(replies, &Reply::Pong { token })?,
            Request::Run { token, plan } => {
                let phases = Phases {
                    receive: clock.lap(),
                    ..Phases::default()
                };
                self.run_case(token, &plan, clock, phases)?;
            }
            // The case that asked has ended, or was killed at its deadline.
            Request::Answer(_) | Request::Stop { .. } => {}
        }
        Ok(true)
    }

    fn run_case(
        &mut self,
        token: u64,
        plan: &Plan,
        mut clock: Stopwatch,
        mut phases: Phases,
    ) -> Result<(), FrameError> {
        let kmsg_before = self.log.mark_start(&plan.name);
        phases.mark = clock.lap();
        let (end, mut left_behind) = execute(&mut self.ports, token, plan, &mut phases)?;
        let process = phases.fork + phases.ops + phases.close;
        phases.exit = clock.lap().saturating_sub(process);
        left_behind.extend(restore(&mut self.ports, plan)?);
        phases.restore = clock.lap();
        let orphans = case::reap_orphans();
        phases.orphans = clock.lap();
        let world = self.survey.world(orphans);
        phases.world = clock.lap();
        let kmsg = self.log.mark_end(&plan.name);
        phases.log = clock.lap();
        let done = Reply::Done {
            token,
            end,
            left_behind,
            kmsg_before,
            kmsg,
            world,
            phases,
        };
        write_frame(&mut self.ports.replies, &done)
    }
}

/// Executes the ops of a case. Returns how it ended, and what is still accounted to it.
fn execute(
    ports: &mut Ports,
    token: u64,
    plan: &Plan,
    phases: &mut Phases,
) -> Result<(End, Vec<String>), FrameError> {
    let deadline = Instant::now() + Duration::from_millis(plan.timeout_ms);
    let host = Host {
        replies: &ports.replies,
        token,
    };
    let child = Child::start(&plan.ops, Some(host))?;
    let mut left_behind = Vec::new();
    let end = watch(ports, child, Some(token), deadline, |replies, told| {
        match told {
            Told::Step(index, outcome) => {
                let step = Reply::Step {
                    token,
                    index,
                    outcome,
                };
                write_frame(replies, &step)?;
            }
            Told::Ended { leaked, took } => {
                left_behind.extend(leaked);
                (phases.fork, phases.ops, phases.close) = (took.fork, took.ops, took.close);
            }
            Told::Asks(action) => write_frame(replies, &Reply::Asks(action))?,
        }
        Ok(())
    })?;
    Ok((end, left_behind))
}

fn restore(ports: &mut Ports, plan: &Plan) -> Result<Vec<String>, FrameError> {
    if plan.restore.is_empty() {
        return Ok(Vec::new());
    }
    let child = Child::start(&plan.restore, None)?;
    let mut outcomes = Vec::new();
    let mut left_behind = Vec::new();
    watch(
        ports,
        child,
        None,
        Instant::now() + GRACE,
        |replies, told| {
            match told {
                Told::Step(index, outcome) => outcomes.push((index, outcome)),
                Told::Ended { leaked, .. } => left_behind.extend(leaked),
                Told::Asks(action) => write_frame(replies, &Reply::Asks(action))?,
            }
            Ok(())
        },
    )?;
    left_behind.extend(case::restore_failures(plan, &outcomes));
    Ok(left_behind)
}

/// Passes on the messages of the child, and answers pings until the child has ended or was killed.
/// The host may stop it by its token.
fn watch(
    ports: &mut Ports,
    mut child: Child,
    token: Option<u64>,
    deadline: Instant,
    mut pass_on: impl FnMut(&mut File, Told) -> Result<(), FrameError>,
) -> Result<End, FrameError> {
    let mut deadline = deadline;
    let mut stack = None;
    let mut stopped = false;
    loop {
        let ready = wait(&ports.requests, &child, deadline)?;
        if ready.told
            && let Ok(told) = read_frame(&mut child.told)
        {
            pass_on(&mut ports.replies, told)?;
            continue; // drain the pipe before the end of the process counts
        }
        if ready.ended {
            // The process may have written and ended between poll's checks of the two descriptors.
            for told in child.left_over() {
                pass_on(&mut ports.replies, told)?;
            }
            let end = child.reap();
            return Ok(match stack {
                _ if stopped && was_stopped(&end) => End::Stopped,
                Some(stack) => End::TimedOut { stack },
                None => end,
            });
        }
        if ready.request {
            match read_frame(&mut ports.requests)? {
                Request::Stop { token: of } if Some(of) == token && stack.is_none() => {
                    stopped = true;
                    child.stop();
                    deadline = Instant::now() + PATIENCE;
                }
                request => answer(&mut ports.replies, &mut child, request)?,
            }
        }
        if Instant::now() >= deadline {
            if let Some(stack) = stack {
                return Ok(End::Unkillable { stack });
            }
            stack = Some(child.stack());
            child.kill_group();
            deadline = Instant::now() + GRACE;
        }
    }
}

/// Whether a child ended because it was told to stop.
const fn was_stopped(end: &End) -> bool {
    matches!(end, End::Killed { .. } | End::Exited { code: STOPPED })
}

fn readable(file: &impl AsFd) -> PollFd<'_> {
    PollFd::new(file.as_fd(), PollFlags::POLLIN)
}

#[derive(Default)]
struct Ready {
    request: bool,
    told: bool,
    ended: bool,
}

fn wait(requests: &File, child: &Child, deadline: Instant) -> io::Result<Ready> {
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let exit = child.exit();
    let mut fds = [readable(requests), readable(&child.told), readable(&exit)];
    match poll(&mut fds, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => {}
        Err(errno) => return Err(errno.into()),
    }
    let has = |at: usize| {
        fds[at]
            .revents()
            .is_some_and(|r| r.contains(PollFlags::POLLIN))
    };
    Ok(Ready {
        request: has(0),
        told: has(1),
        ended: has(2),
    })
}

/// Answers a request during a case. The host then only pings, answers, stops the case, or powers
/// the guest off.
fn answer(replies: &mut File, child: &mut Child, request: Request) -> Result<(), FrameError> {
    match request {
        Request::Answer(done) => {
            child.answer(done);
            Ok(())
        }
        Request::Ping { token } => write_frame(replies, &Reply::Pong { token }),
        Request::Stop { .. } => Ok(()), // of a case that is being undone
        Request::PowerOff => {
            guest::power_off();
            Ok(())
        }
        other => {
            let why = format!("received {other:?} while a case runs");
            write_frame(replies, &Reply::Broken { why })
        }
    }
}
