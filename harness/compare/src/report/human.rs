//! For a terminal.

use std::fmt::{self, Write};

use super::words::{by_kind, ran, reasons, some_cases, totals, verdicts};
use crate::{
    change::{Change, Kind, StepChange},
    comparison::Comparison,
};

/// How many cases of a kind are shown with all that changed.
const SHOWN: usize = 40;
/// How many cases are named in a line.
const NAMED: usize = 3;

/// The comparison for a terminal.
pub fn human(of: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(of, &mut text);
    text
}

fn write(of: &Comparison, to: &mut String) -> fmt::Result {
    writeln!(to, "base: {}", ran(&of.base))?;
    writeln!(to, "head: {}", ran(&of.head))?;
    for (heading, ioctls) in [
        ("Ioctls that came", &of.ioctls_came),
        ("Ioctls that went", &of.ioctls_went),
    ] {
        if !ioctls.is_empty() {
            writeln!(to, "\n{heading}: {}", ioctls.join(", "))?;
        }
    }
    if !of.ends.is_empty() {
        writeln!(to, "\nCalls and DMA that end in another way:")?;
    }
    for end in &of.ends {
        let (count, cases) = (end.cases.len(), some_cases(end, NAMED));
        writeln!(
            to,
            "{count:>6}  {}: {} -> {} ({cases})",
            end.what, end.base, end.head
        )?;
    }
    for (kind, changes) in by_kind(&of.changes) {
        writeln!(to, "\n{}:", kind.heading())?;
        write_kind(kind, &changes, to)?;
    }
    if !of.unseen.is_empty() {
        writeln!(to, "\nIntended, and not seen: {}", of.unseen.join(", "))?;
    }
    writeln!(to, "\n{}", totals(of))
}

fn write_kind(kind: Kind, changes: &[&Change], to: &mut String) -> fmt::Result {
    if matches!(kind, Kind::Came | Kind::Went) {
        for (reason, cases) in reasons(changes) {
            writeln!(to, "{:>6}  {reason}", cases.len())?;
        }
        return Ok(());
    }
    for change in changes.iter().take(SHOWN) {
        write_change(change, to)?;
    }
    match changes.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => writeln!(to, "  {more} more; --format json has all"),
    }
}

fn write_change(change: &Change, to: &mut String) -> fmt::Result {
    writeln!(to, "  {}  {}", verdicts(change), change.case)?;
    let of_head = change.head.as_ref().filter(|it| !it.verdict.is_expected());
    let of_base = change.base.as_ref().filter(|it| !it.verdict.is_expected());
    let reason = of_head.or(of_base).and_then(|it| it.reason.as_deref());
    for line in reason.unwrap_or_default().lines() {
        writeln!(to, "      {line}")?;
    }
    change
        .steps
        .iter()
        .try_for_each(|step| write_step(step, to))
}

fn write_step(step: &StepChange, to: &mut String) -> fmt::Result {
    for (sign, seen) in [('-', &step.base), ('+', &step.head)] {
        if let Some(seen) = seen {
            writeln!(to, "      {sign} {}: {seen}", step.step)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{comparison::tests::two, intended::Intended};

    #[test]
    fn all_that_changed_is_told() {
        let (base, head) = two();
        insta::assert_snapshot!(human(&Comparison::new(&base, &head, &Intended::default())));
    }

    #[test]
    fn a_run_is_like_itself() {
        let (base, _) = two();
        insta::assert_snapshot!(human(&Comparison::new(&base, &base, &Intended::default())));
    }
}
