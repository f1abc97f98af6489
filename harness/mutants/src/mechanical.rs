//! Generates simple mutants for functions that the list does not cover.
//!
//! They are derived from single lines, so some change nothing that user space can see. A survivor
//! does not always mean that a case is missing.

use std::{fs, io, path::Path};

use crate::{changed::Touched, edit::Edit, mutant::Mutant, source};

/// Their area in the summary.
pub const AREA: &str = "mechanical";

/// Calls that are not removed: their absence either shows as a deadlock or a refcount splat in
/// every test, or not at all.
const SPARED: &[&str] = &[
    "lock",
    "mutex",
    "rwsem",
    "up_read",
    "up_write",
    "down_",
    "rcu_",
    "WARN",
    "BUG",
    "lockdep",
    "might_",
    "cond_resched",
    "pr_",
    "dev_",
    "pci_info",
    "pci_warn",
    "pci_dbg",
    "trace_",
    "printk",
    "return",
    "if",
    "while",
    "for",
    "switch",
    "case",
    "goto",
];

/// Returns at most `most` mutants of a function, spread over its length.
pub fn mutants(tree: &Path, touched: &Touched, most: usize) -> io::Result<Vec<Mutant>> {
    let text = fs::read_to_string(tree.join(&touched.file))?;
    let mut all = Vec::new();
    for function in source::find(&text, &touched.function) {
        all.extend(edits(&text, function.body()));
    }
    let step = all.len().div_ceil(most.max(1)).max(1);
    let chosen = all.into_iter().step_by(step);
    Ok(chosen.map(|made| mutant(&text, touched, made)).collect())
}

/// An edit with a description.
type Made = (Edit, &'static str);

fn mutant(text: &str, touched: &Touched, (edit, what): Made) -> Mutant {
    let line = source::line_of(text, edit.range.start);
    let was = text.get(edit.range.clone()).unwrap_or_default();
    let was: Vec<_> = was.split_whitespace().collect();
    Mutant {
        id: format!("{}:{line}:{what}", touched.function),
        area: AREA.to_owned(),
        file: touched.file.clone(),
        function: touched.function.clone(),
        rule: format!("`{}` matters", was.join(" ")),
        clauses: Vec::new(),
        survives: None,
        source: None,
        edit,
    }
}

fn edits(text: &str, body: std::ops::Range<usize>) -> Vec<Made> {
    let mut found = Vec::new();
    let mut at = body.start;
    for line in text.get(body).unwrap_or_default().split_inclusive('\n') {
        let code = line.trim();
        let start = at + line.find(code).unwrap_or_default();
        found.extend(of_line(text, start, code));
        at += line.len();
    }
    found
}

/// Returns the mutant of one line. No line gives more than one, because most would be alike.
fn of_line(text: &str, start: usize, code: &str) -> Option<Made> {
    let edit = |range, replacement: String| Edit { range, replacement };
    if let Some(length) = condition(text, start, code) {
        let open = start + "if ".len();
        let inside = text.get(open..open + length)?;
        return Some((edit(open..open + length, format!("(!{inside})")), "negated"));
    }
    let errno = code
        .strip_prefix("return -E")
        .and_then(|rest| rest.strip_suffix(';'));
    let whole = start..start + code.len();
    match errno {
        Some("INVAL") => return Some((edit(whole, "return -EIO;".to_owned()), "errno")),
        Some(_) => return Some((edit(whole, "do { } while (0);".to_owned()), "no-error")),
        None => {}
    }
    is_call(code).then(|| (edit(whole, "do { } while (0);".to_owned()), "no-call"))
}

/// Returns the length of the condition in parentheses of an `if` that begins here.
fn condition(text: &str, start: usize, code: &str) -> Option<usize> {
    code.starts_with("if (").then_some(())?;
    let mut depth = 0_usize;
    for (at, byte) in text.get(start + "if ".len()..)?.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' if depth == 1 => return Some(at + 1),
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether a statement is only a call that may be removed. A macro such as `LIST_HEAD(list);` is
/// not, because it declares a variable.
fn is_call(code: &str) -> bool {
    let name = code.split('(').next().unwrap_or_default();
    if !name.contains(|c: char| c.is_ascii_lowercase()) {
        return false;
    }
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain && code.ends_with(");") && !SPARED.iter().any(|spared| name.contains(spared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: &str = "\
int f(int a)
{
	LIST_HEAD(list);
	int rc;

	mutex_lock(&m);
	if (a && (a !=
		  2))
		return -EINVAL;
	if (!a)
		return -ENOMEM;
	put(a);
	rc = g(a);
	mutex_unlock(&m);
	return rc;
}
";

    fn made(most: usize) -> Vec<Mutant> {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a.c"), SOURCE).unwrap();
        let touched = Touched {
            file: "a.c".into(),
            function: "f".into(),
        };
        mutants(root.path(), &touched, most).unwrap()
    }

    #[test]
    fn makes_one_of_a_line() {
        let lines: Vec<String> = made(99)
            .iter()
            .map(|m| {
                let changed = m.edit.apply(SOURCE);
                let kept: Vec<_> = changed.lines().filter(|l| !SOURCE.contains(*l)).collect();
                format!("{}: {}\n    {}\n", m.id, m.rule, kept.join("\n    ").trim())
            })
            .collect();
        insta::assert_snapshot!(lines.concat());
    }

    #[test]
    fn no_more_than_asked_for() {
        assert!(made(2).len() <= 2);
    }

    proptest! {
        #[test]
        fn any_body_is_read(text in "[if()&\n; retEINVAL-]{0,80}") {
            for (edit, _) in edits(&text, 0..text.len()) {
                prop_assert!(text.get(edit.range).is_some());
            }
        }
    }
}
