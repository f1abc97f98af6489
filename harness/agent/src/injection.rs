//! Failures injected into one system call, through `/proc/thread-self/fail-nth`.
//!
//! The kernel counts down at every point where a failure can be injected (an allocation of slab or
//! pages, a copy from or to the caller's memory, a hook of iommufd), and injects a failure at the
//! point where the counter reaches zero.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::fd::{FromRawFd, OwnedFd},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use nix::fcntl::{FcntlArg, fcntl};
use wire::{Attempt, FailNth, Failure, Injected, Observed};

use crate::{exec::Executor, sysfs};

/// Lowest descriptor for these files, above those of a case.
const OUT_OF_THE_WAY: i32 = 512;
const FAIL_NTH: &str = "/proc/thread-self/fail-nth";
const DEBUGFS: &str = "/sys/kernel/debug";

/// Settings that enable failures. By default an allocation that may sleep never fails, nor does one
/// of a single page. The last settings keep stacks of injected failures out of the log.
const KNOBS: [(&str, &str); 8] = [
    ("failslab/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-wait", "N"),
    ("fail_page_alloc/ignore-gfp-highmem", "N"),
    ("fail_page_alloc/min-order", "0"),
    ("failslab/verbose", "0"),
    ("fail_page_alloc/verbose", "0"),
    ("fail_usercopy/verbose", "0"),
    ("fail_iommufd/verbose", "0"),
];

/// The kinds of failure, as debugfs knows them.
const KINDS: [(&str, Failure); 4] = [
    ("failslab", Failure::Allocation),
    ("fail_page_alloc", Failure::Allocation),
    ("fail_usercopy", Failure::Copy),
    ("fail_iommufd", Failure::Hook),
];
/// Limit for each kind of failure. The kernel counts down from it, which shows which kind was
/// injected.
const TIMES: u32 = 1_000_000;

/// Injects a failure at the Nth point of the next system call.
pub struct Injection {
    file: File,
    kinds: Vec<Kind>,
    nth: u32,
    hit: Option<io::Result<Option<Failure>>>,
}

struct Kind {
    failure: Failure,
    /// Cannot be read twice through one descriptor.
    times: PathBuf,
    left: u32,
}

impl Kind {
    /// Returns `None` if the kernel was built without this kind.
    fn open(name: &str, failure: Failure) -> io::Result<Option<Self>> {
        let path = Path::new(DEBUGFS).join(name).join("times");
        if !path.exists() {
            return Ok(None);
        }
        sysfs::write(&path, &TIMES.to_string())?;
        Ok(Some(Self {
            failure,
            times: path,
            left: TIMES,
        }))
    }

    /// Whether this kind was injected since the last check.
    fn has_happened(&mut self) -> io::Result<bool> {
        let before = self.left;
        self.left = parse(&fs::read(&self.times)?)?;
        Ok(self.left != before)
    }
}

impl Injection {
    fn open() -> io::Result<Self> {
        for (knob, value) in KNOBS {
            let path = Path::new(DEBUGFS).join(knob);
            if path.exists() {
                sysfs::write(&path, value)?;
            }
        }
        let kinds = KINDS
            .iter()
            .filter_map(|(name, failure)| Kind::open(name, *failure).transpose())
            .collect::<Result<_, _>>()?;
        let file = OpenOptions::new().read(true).write(true).open(FAIL_NTH)?;
        let file = File::from(out_of_the_way(&file)?);
        Ok(Self {
            file,
            kinds,
            nth: 0,
            hit: None,
        })
    }

    /// Makes the system call. Nothing else may happen in `call`: every page fault and every
    /// allocation of this process counts.
    pub fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        let armed = self.write(self.nth);
        let result = call();
        self.hit = Some(armed.and_then(|()| self.disarm()));
        result
    }

    /// Returns the injected failure, or `None` if the counter did not reach zero.
    fn disarm(&mut self) -> io::Result<Option<Failure>> {
        let left = self.left()?;
        self.write(0)?;
        if left > 0 {
            return Ok(None);
        }
        for kind in &mut self.kinds {
            if kind.has_happened()? {
                return Ok(Some(kind.failure));
            }
        }
        Err(io::Error::other(
            "a failure was injected, but no kind of failure was counted",
        ))
    }

    /// Reads the counter. The kernel takes its value before it copies it to user space. If one is
    /// left, that copy itself fails, and counts.
    fn left(&mut self) -> io::Result<u32> {
        let mut text = [0; 16];
        match self.file.read_at(&mut text, 0) {
            Ok(read) => parse(&text[..read]),
            Err(error) if is_fault(&error) => {
                for kind in &mut self.kinds {
                    kind.has_happened()?;
                }
                Ok(1)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the counter. If one is left, the copy of the new value fails, and then none is left.
    fn write(&self, nth: u32) -> io::Result<()> {
        let text = nth.to_string();
        match self.file.write_at(text.as_bytes(), 0) {
            Err(error) if is_fault(&error) => self.file.write_at(text.as_bytes(), 0).map(drop),
            other => other.map(drop),
        }
    }
}

/// Moves the descriptor to a high number, because a case may depend on the number of its own.
fn out_of_the_way(file: &File) -> io::Result<OwnedFd> {
    let fd = fcntl(file, FcntlArg::F_DUPFD_CLOEXEC(OUT_OF_THE_WAY))?;
    // SAFETY: a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn is_fault(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EFAULT)
}

fn parse(text: &[u8]) -> io::Result<u32> {
    let text = String::from_utf8_lossy(text);
    text.trim().parse().map_err(|_| {
        io::Error::other(format!(
            "a counter of failures has the invalid value `{}`",
            text.trim()
        ))
    })
}

/// Executes the op with a failure at its 1st, 2nd, ... point until no further point is left.
pub fn run(executor: &mut Executor, plan: &FailNth) -> Observed {
    match Injection::open() {
        Ok(injection) => executor.inject = Some(injection),
        Err(error) => return broken(&format!("preparing the injection of failures: {error}")),
    }
    let observed = attempts(executor, plan);
    executor.inject = None;
    observed
}

fn attempts(executor: &mut Executor, plan: &FailNth) -> Observed {
    let mut attempts = Vec::new();
    for nth in 1..=plan.limit {
        if let Some(injection) = &mut executor.inject {
            injection.nth = nth;
            injection.hit = None;
        }
        let outcome = executor.execute(&plan.op);
        let injection = executor.inject.take();
        let failure = match injection.as_ref().and_then(|it| it.hit.as_ref()) {
            Some(Ok(failure)) => *failure,
            Some(Err(error)) => return broken(&format!("injecting failure {nth}: {error}")),
            None if matches!(outcome.observed, Observed::Ok { .. }) => {
                return broken(
                    "no failure was injected into this call, which is a fault of the agent",
                );
            }
            // The call was not made, for example because a value is missing.
            None => return outcome.observed,
        };
        let Some(failure) = failure else {
            let last = Box::new(outcome);
            return Observed::Injected(Injected { attempts, last });
        };
        let after = match outcome.observed {
            Observed::Ok { .. } => &plan.survived,
            _ if failure == Failure::Copy => &plan.failed_copy,
            _ => &plan.failed,
        };
        let after = after.iter().map(|op| executor.execute(op)).collect();
        executor.inject = injection;
        attempts.push(Attempt {
            nth,
            failure,
            outcome,
            after,
        });
    }
    broken(&format!(
        "{} failures were injected, and the call has more points of failure; raise `limit`",
        plan.limit
    ))
}

fn broken(why: &str) -> Observed {
    Observed::Broken {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(b"0\n", Some(0))]
    #[case(b"17\n", Some(17))]
    #[case(b"", None)]
    #[case(b"-1\n", None)]
    #[case(b"4294967296\n", None)]
    fn what_is_left_is_a_number(#[case] text: &[u8], #[case] left: Option<u32>) {
        assert_eq!(parse(text).ok(), left);
    }
}
