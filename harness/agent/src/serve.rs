//! The agent's main loop: requests in, outcomes out, pings answered at any time.

use std::{
    fs::File,
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use wire::{End, FrameError, Plan, Reply, Request, read_frame, write_frame};

use crate::{
    case::{self, Child, STOPPED, Told},
    counters, facts, guest, kmsg,
};

/// Time a process has to end with the op at hand, before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time a killed process has to go away, and all restore ops have to be executed.
const GRACE: Duration = Duration::from_secs(10);

/// Sets the guest up, says hello and serves until the host ends it.
pub fn run() -> Result<(), FrameError> {
    guest::mount_all()?;
    guest::die_of_sigterm().map_err(io::Error::from)?;
    guest::load_modules();
    guest::reserve_huge_pages();
    let mut port = guest::open_port()?;
    let hello = Reply::Hello {
        revision: wire::REVISION.to_owned(),
        facts: facts::collect(),
    };
    write_frame(&mut port, &hello)?;
    loop {
        match read_frame(&mut port)? {
            Request::PowerOff => return Ok(()),
            Request::Counters => counters::send(&mut port)?,
            Request::Facts => write_frame(&mut port, &Reply::Facts(facts::collect()))?,
            Request::Ping { token } => write_frame(&mut port, &Reply::Pong { token })?,
            Request::Run { token, plan } => run_case(&mut port, token, &plan)?,
            // The case that asked has been killed for being late, or has ended by itself.
            Request::Answer(_) | Request::Stop { .. } => {}
        }
    }
}

fn run_case(port: &mut File, token: u64, plan: &Plan) -> Result<(), FrameError> {
    let log = kmsg::Log::mark_start(&plan.name);
    let start = Instant::now();
    let child = Child::start(&plan.ops)?;
    let deadline = start + Duration::from_millis(plan.timeout_ms);
    let mut left_behind = Vec::new();
    let end = watch(
        port,
        child,
        Some(token),
        deadline,
        |port, told| match told {
            Told::Step(index, outcome) => write_frame(
                port,
                &Reply::Step {
                    token,
                    index,
                    outcome,
                },
            ),
            Told::Leaked(what) => {
                left_behind.extend(what);
                Ok(())
            }
            Told::Asks(action) => write_frame(port, &Reply::Asks(action)),
        },
    )?;
    let us = start.elapsed().as_micros() as u64;
    left_behind.extend(restore(port, plan)?);
    let world = facts::world(case::reap_orphans());
    let kmsg = log.mark_end(&plan.name);
    write_frame(
        port,
        &Reply::Done {
            token,
            end,
            left_behind,
            kmsg,
            world,
            us,
        },
    )
}

fn restore(port: &mut File, plan: &Plan) -> Result<Vec<String>, FrameError> {
    if plan.restore.is_empty() {
        return Ok(Vec::new());
    }
    let child = Child::start(&plan.restore)?;
    let mut outcomes = Vec::new();
    let mut left_behind = Vec::new();
    watch(port, child, None, Instant::now() + GRACE, |port, told| {
        match told {
            Told::Step(index, outcome) => outcomes.push((index, outcome)),
            Told::Leaked(what) => left_behind.extend(what),
            Told::Asks(action) => write_frame(port, &Reply::Asks(action))?,
        }
        Ok(())
    })?;
    left_behind.extend(case::restore_failures(plan, &outcomes));
    Ok(left_behind)
}

/// Passes on what the child tells and answers pings until the child has ended or had to be killed.
/// The host may stop it by its token.
fn watch(
    port: &mut File,
    mut child: Child,
    token: Option<u64>,
    deadline: Instant,
    mut pass_on: impl FnMut(&mut File, Told) -> Result<(), FrameError>,
) -> Result<End, FrameError> {
    let mut deadline = deadline;
    let mut stack = None;
    let mut stopped = false;
    loop {
        let ready = wait(port, &child, deadline)?;
        if ready.told
            && let Ok(told) = read_frame(&mut child.told)
        {
            pass_on(port, told)?;
            continue; // drain the pipe before the end of the process counts
        }
        if ready.ended {
            // The process may have written and ended between the looks of poll at the two.
            for told in child.left_over() {
                pass_on(port, told)?;
            }
            let end = child.reap();
            return Ok(match stack {
                _ if stopped && was_stopped(&end) => End::Stopped,
                Some(stack) => End::TimedOut { stack },
                None => end,
            });
        }
        if ready.request {
            match read_frame(port)? {
                Request::Stop { token: of } if Some(of) == token && stack.is_none() => {
                    stopped = true;
                    child.stop();
                    deadline = Instant::now() + PATIENCE;
                }
                request => answer(port, &mut child, request)?,
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

/// Whether a child that was told to stop ended by that.
const fn was_stopped(end: &End) -> bool {
    matches!(end, End::Killed { .. } | End::Exited { code: STOPPED })
}

#[derive(Default)]
struct Ready {
    request: bool,
    told: bool,
    ended: bool,
}

fn wait(port: &File, child: &Child, deadline: Instant) -> io::Result<Ready> {
    let left = deadline.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
    let exit = child.exit();
    let mut fds = [
        PollFd::new(port.as_fd(), PollFlags::POLLIN),
        PollFd::new(child.told.as_fd(), PollFlags::POLLIN),
        PollFd::new(exit.as_fd(), PollFlags::POLLIN),
    ];
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

/// While a case runs the host only pings, answers, or gives up.
fn answer(port: &mut File, child: &mut Child, request: Request) -> Result<(), FrameError> {
    match request {
        Request::Answer(done) => {
            child.answer(done);
            Ok(())
        }
        Request::Ping { token } => write_frame(port, &Reply::Pong { token }),
        Request::Stop { .. } => Ok(()), // of a case that is being undone
        Request::PowerOff => {
            guest::power_off();
            Ok(())
        }
        other => {
            let why = format!("asked for {other:?} while a case runs");
            write_frame(port, &Reply::Broken { why })
        }
    }
}
