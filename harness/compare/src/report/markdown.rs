//! For the cover letter of a series: Markdown that reads well as a mail, in lines of at most 75
//! columns where no name is longer.

use std::fmt::{self, Write};

use super::words::{by_kind, ran, reasons, totals, verdicts};
use crate::{
    change::{Change, Kind},
    comparison::{Comparison, EndChange},
};

/// Longest line of a mail.
const WIDTH: usize = 75;
/// How many cases of a kind are named.
const NAMED: usize = 20;

/// The comparison for a cover letter.
pub fn markdown(of: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write(of, &mut text);
    text
}

fn write(of: &Comparison, to: &mut String) -> fmt::Result {
    writeln!(to, "Conformance of the iommufd and vfio uAPI:\n")?;
    wrapped(to, &format!("base: {}", ran(&of.base)))?;
    wrapped(to, &format!("head: {}", ran(&of.head)))?;
    wrapped(to, &totals(of))?;
    for (heading, ioctls) in [
        ("Ioctls that came", &of.ioctls_came),
        ("Ioctls that went", &of.ioctls_went),
    ] {
        if !ioctls.is_empty() {
            writeln!(to, "\n{heading}:\n")?;
            ioctls.iter().try_for_each(|it| writeln!(to, "- {it}"))?;
        }
    }
    if !of.ends.is_empty() {
        writeln!(to, "\nCalls and DMA that end in another way:\n")?;
        of.ends.iter().try_for_each(|end| write_end(end, to))?;
    }
    for (kind, changes) in by_kind(&of.changes) {
        writeln!(to, "\n{}:\n", kind.heading())?;
        write_kind(kind, &changes, to)?;
    }
    Ok(())
}

fn write_end(end: &EndChange, to: &mut String) -> fmt::Result {
    let cases = match end.cases.as_slice() {
        [one] => one.clone(),
        many => format!("{} cases", many.len()),
    };
    wrapped(
        to,
        &format!("{}: {} -> {} ({cases})", end.what, end.base, end.head),
    )
}

fn write_kind(kind: Kind, changes: &[&Change], to: &mut String) -> fmt::Result {
    if matches!(kind, Kind::Came | Kind::Went) {
        let mut reasons = reasons(changes).into_iter();
        return reasons.try_for_each(|(reason, cases)| {
            wrapped(to, &format!("{} cases: {reason}", cases.len()))
        });
    }
    for change in changes.iter().take(NAMED) {
        wrapped(
            to,
            &format!("{} {}: {}", verdicts(change), change.case, change.summary),
        )?;
    }
    match changes.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => writeln!(to, "- {more} more"),
    }
}

/// Writes an item of a list, broken at spaces.
fn wrapped(to: &mut String, text: &str) -> fmt::Result {
    let mut line = String::from("-");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.len() > 2 {
            writeln!(to, "{line}")?;
            line = String::from(" ");
        }
        line.push(' ');
        line.push_str(word);
    }
    writeln!(to, "{line}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{comparison::tests::two, intended::Intended};

    #[test]
    fn all_that_changed_is_told_in_lines_of_a_mail() {
        let (base, head) = two();
        let text = markdown(&Comparison::new(&base, &head, &Intended::default()));
        assert!(
            text.lines().all(|line| line.chars().count() <= WIDTH),
            "{text}"
        );
        insta::assert_snapshot!(text);
    }
}
