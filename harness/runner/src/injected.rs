//! Judges an op into which failures were injected: each failure has to be one that is allowed,
//! and has to leave the state as the case says.

use std::collections::{BTreeMap, BTreeSet};

use case::{Check, Injection};
use wire::{Attempt, FailNth, Failure, Injected, Observed, Op, Outcome};

use crate::judge::{Mismatch, Slots, compare, errno_text, observed_end};

/// What was done, what was expected of it and what was seen.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    plan: &'a FailNth,
    check: &'a Check,
    injection: &'a Injection,
    injected: &'a Injected,
}

/// The parts of an op into which failures were injected; none of any other op.
#[must_use]
pub fn parts<'a>(op: &'a Op, check: &'a Check, outcome: &'a Outcome) -> Option<Parts<'a>> {
    match (op, &check.injection, &outcome.observed) {
        (Op::FailNth(plan), Some(injection), Observed::Injected(injected)) => Some(Parts {
            plan,
            check,
            injection,
            injected,
        }),
        _ => None,
    }
}

/// Compares every execution with what was expected.
///
/// # Errors
/// With the first difference.
pub fn compare_all(parts: &Parts<'_>, slots: &mut Slots) -> Result<(), Mismatch> {
    if parts.injected.attempts.is_empty() {
        return Err(Mismatch {
            expected: "a failure to inject".to_owned(),
            observed: "the call has no point at which one can be injected".to_owned(),
        });
    }
    for attempt in &parts.injected.attempts {
        compare_attempt(parts, attempt, slots).map_err(|mismatch| within(attempt, mismatch))?;
    }
    compare(&parts.check.expect, &parts.injected.last, slots).map_err(|mismatch| Mismatch {
        expected: format!("{}, after every failure", mismatch.expected),
        observed: mismatch.observed,
    })
}

fn compare_attempt(
    parts: &Parts<'_>,
    attempt: &Attempt,
    slots: &mut Slots,
) -> Result<(), Mismatch> {
    let Parts {
        plan, injection, ..
    } = parts;
    match &attempt.outcome.observed {
        Observed::Errno { errno, .. } if allowed(injection, attempt).contains(errno) => {
            compare_after(&plan.failed, &injection.failed, &attempt.after, slots)
        }
        Observed::Ok { .. } => {
            compare(&parts.check.expect, &attempt.outcome, slots)?;
            slots.learn(&plan.op, &attempt.outcome);
            compare_after(&plan.survived, &injection.survived, &attempt.after, slots)
        }
        _ => Err(Mismatch {
            expected: format!("success or {}", names(allowed(injection, attempt))),
            observed: observed_end(&attempt.outcome),
        }),
    }
}

fn allowed<'a>(injection: &'a Injection, attempt: &Attempt) -> &'a [i32] {
    match attempt.failure {
        Failure::Allocation => &injection.allocations,
        Failure::Copy => &injection.copies,
        Failure::Hook => &injection.hooks,
    }
}

fn compare_after(
    ops: &[Op],
    checks: &[Check],
    outcomes: &[Outcome],
    slots: &mut Slots,
) -> Result<(), Mismatch> {
    for ((op, check), outcome) in ops.iter().zip(checks).zip(outcomes) {
        compare(&check.expect, outcome, slots).map_err(|mismatch| Mismatch {
            expected: format!("{} of {} thereafter", mismatch.expected, check.label),
            observed: mismatch.observed,
        })?;
        slots.learn(op, outcome);
    }
    Ok(())
}

fn within(attempt: &Attempt, mismatch: Mismatch) -> Mismatch {
    Mismatch {
        expected: mismatch.expected,
        observed: format!(
            "{} ({} failed, the {}. of all that can; the call ended with {})",
            mismatch.observed,
            what(attempt.failure),
            attempt.nth,
            observed_end(&attempt.outcome)
        ),
    }
}

fn what(failure: Failure) -> &'static str {
    match failure {
        Failure::Allocation => "an allocation",
        Failure::Copy => "a copy",
        Failure::Hook => "a hook",
    }
}

fn names(errnos: &[i32]) -> String {
    let names: Vec<_> = errnos.iter().map(|errno| errno_text(*errno)).collect();
    names.join(" or ")
}

/// How it ended, in words that are the same in every run: how many failures there are depends
/// on what the kernel has in its caches.
#[must_use]
pub fn text(injected: &Injected) -> String {
    let mut failures = BTreeMap::<_, BTreeSet<_>>::new();
    for attempt in &injected.attempts {
        if let Observed::Errno { errno, .. } = attempt.outcome.observed {
            let errnos = failures.entry(attempt.failure).or_default();
            errnos.insert(errno_text(errno));
        }
    }
    let failures = failures.into_iter().map(|(failure, errnos)| {
        let errnos: Vec<_> = errnos.into_iter().collect();
        format!("{} of {}, ", errnos.join(" or "), what(failure))
    });
    let failures: String = failures.collect();
    format!("{failures}at last {}", observed_end(&injected.last))
}
