//! Judges an op with injected failures. Each execution has to end with success or an allowed errno,
//! and has to leave the state as the case says.

use case::{Check, Injection};
use wire::{Attempt, ControlOp, FailNth, Failure, Observed, Op, Outcome};

use crate::judge::{
    comparison::{Mismatch, compare},
    description::{errno_text, observed_end},
    values::Values,
};

/// The injection plan and its expectations.
#[derive(Debug, Clone, Copy)]
struct Parts<'a> {
    plan: &'a FailNth,
    check: &'a Check,
    injection: &'a Injection,
}

/// Compares every execution with the expectations. The error is the first difference.
pub fn compare_all(
    op: &Op,
    check: &Check,
    injection: &Injection,
    outcome: &Outcome,
    values: &mut Values,
) -> Result<(), Mismatch> {
    let (Op::Control(ControlOp::FailNth { plan }), Observed::Injected(injected)) =
        (op, &outcome.observed)
    else {
        return compare(&check.expect, outcome, values);
    };
    let parts = Parts {
        plan,
        check,
        injection,
    };
    if injected.attempts.is_empty() {
        return Err(Mismatch {
            expected: "a point at which a failure can be injected".to_owned(),
            observed: "the call has no such point".to_owned(),
        });
    }
    for attempt in &injected.attempts {
        compare_attempt(&parts, attempt, values).map_err(|mismatch| within(attempt, mismatch))?;
    }
    compare(&check.expect, &injected.last, values).map_err(|mismatch| Mismatch {
        expected: format!("{}, after the last failure", mismatch.expected),
        observed: mismatch.observed,
    })
}

fn compare_attempt(
    parts: &Parts<'_>,
    attempt: &Attempt,
    values: &mut Values,
) -> Result<(), Mismatch> {
    let Parts {
        plan, injection, ..
    } = parts;
    match &attempt.outcome.observed {
        Observed::Errno { errno, .. } if allowed(injection, attempt).contains(errno) => {
            let (ops, checks) = match attempt.failure {
                Failure::Copy => (&plan.failed_copy, &injection.failed_copy),
                _ => (&plan.failed, &injection.failed),
            };
            compare_after(ops, checks, &attempt.after, values)
        }
        Observed::Ok { .. } => {
            compare(&parts.check.expect, &attempt.outcome, values)?;
            values.learn(&plan.op, &attempt.outcome);
            compare_after(&plan.survived, &injection.survived, &attempt.after, values)
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
    values: &mut Values,
) -> Result<(), Mismatch> {
    for ((op, check), outcome) in ops.iter().zip(checks).zip(outcomes) {
        compare(&check.expect, outcome, values).map_err(|mismatch| Mismatch {
            expected: format!("{} of {} afterwards", mismatch.expected, check.label),
            observed: mismatch.observed,
        })?;
        values.learn(op, outcome);
    }
    Ok(())
}

fn within(attempt: &Attempt, mismatch: Mismatch) -> Mismatch {
    Mismatch {
        expected: mismatch.expected,
        observed: format!(
            "{} ({} failed, at point {}; the call ended with {})",
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
