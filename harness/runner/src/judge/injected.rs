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

/// Compares every execution with the expectations, and returns every difference.
pub fn compare_all(
    op: &Op,
    check: &Check,
    injection: &Injection,
    outcome: &Outcome,
    values: &mut Values,
) -> Vec<Mismatch> {
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
        let expected = "a point at which a failure can be injected";
        return vec![Mismatch::new(expected, "the call has no such point")];
    }
    let mut all = Vec::new();
    for attempt in &injected.attempts {
        for mismatch in compare_attempt(&parts, attempt, values) {
            add(&mut all, within(attempt, mismatch));
        }
    }
    let last = compare(&check.expect, &injected.last, values);
    all.extend(last.into_iter().map(|mismatch| Mismatch {
        expected: format!("{}, after the last failure", mismatch.expected),
        ..mismatch
    }));
    all
}

/// Adds a mismatch, or its details to the same one at another point.
fn add(all: &mut Vec<Mismatch>, mismatch: Mismatch) {
    let same =
        |it: &&mut Mismatch| it.expected == mismatch.expected && it.observed == mismatch.observed;
    match all.iter_mut().find(same) {
        Some(known) => known.details.extend(mismatch.details),
        None => all.push(mismatch),
    }
}

fn compare_attempt(parts: &Parts<'_>, attempt: &Attempt, values: &mut Values) -> Vec<Mismatch> {
    let Parts {
        plan, injection, ..
    } = parts;
    match &attempt.outcome.observed {
        Observed::Errno { errno, .. }
            if allowed(injection, attempt).contains(errno)
                || ends_so_anyway(parts, attempt, values) =>
        {
            let (ops, checks) = match attempt.failure {
                Failure::Copy => (&plan.failed_copy, &injection.failed_copy),
                _ => (&plan.failed, &injection.failed),
            };
            compare_after(ops, checks, &attempt.after, values)
        }
        Observed::Ok { .. } => {
            let mut all = compare(&parts.check.expect, &attempt.outcome, values);
            values.learn(&plan.op, &attempt.outcome);
            let (ops, checks) = (&plan.survived, &injection.survived);
            all.extend(compare_after(ops, checks, &attempt.after, values));
            all
        }
        _ => {
            let expected = format!("success or {}", names(allowed(injection, attempt)));
            vec![Mismatch::new(expected, observed_end(&attempt.outcome))]
        }
    }
}

/// Whether the call ended as it does without a failure. Not each allocation matters: what a debugging
/// option cannot allocate it does without.
fn ends_so_anyway(parts: &Parts<'_>, attempt: &Attempt, values: &mut Values) -> bool {
    compare(&parts.check.expect, &attempt.outcome, values).is_empty()
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
) -> Vec<Mismatch> {
    let mut all = Vec::new();
    for ((op, check), outcome) in ops.iter().zip(checks).zip(outcomes) {
        let differences = compare(&check.expect, outcome, values).into_iter();
        all.extend(differences.map(|mismatch| Mismatch {
            expected: format!("{} of {} afterwards", mismatch.expected, check.label),
            observed: format!("{}: {}", check.label, mismatch.observed),
            ..mismatch
        }));
        values.learn(op, outcome);
    }
    all
}

fn within(attempt: &Attempt, mismatch: Mismatch) -> Mismatch {
    let observed = format!(
        "{} ({} failed; the call ended with {})",
        mismatch.observed,
        what(attempt.failure),
        observed_end(&attempt.outcome)
    );
    Mismatch {
        observed,
        details: vec![format!("at point {}", attempt.nth)],
        ..mismatch
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
