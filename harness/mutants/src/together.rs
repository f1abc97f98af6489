//! All mutants in one kernel, chosen at boot: one build instead of one for each.
//!
//! A function with mutants gets a copy for each of them, and calls the copy with the number on the
//! kernel's command line. Without a number the kernel behaves as if unchanged.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path};

use crate::{
    mutant::Mutant,
    source::{self, Function},
};

/// Name of the parameter on the kernel's command line.
pub const PARAMETER: &str = "conformance_mutant";
/// File for the parameter: it is part of every kernel with these drivers.
const HOME: &str = "drivers/iommu/iommu.c";

/// Returns the changed files with their paths from the top of the tree. A mutant's number is its
/// position in the list, from 1.
pub fn files(tree: &Path, mutants: &[Mutant]) -> io::Result<Vec<(String, String)>> {
    let mut by_file: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
    by_file.entry(HOME).or_default();
    for (index, mutant) in mutants.iter().enumerate() {
        let list = by_file.entry(&mutant.file).or_default();
        list.push((index + 1, mutant));
    }
    let changed = by_file.into_iter().map(|(file, mutants)| {
        let mut text = with_copies(&fs::read_to_string(tree.join(file))?, &mutants);
        if file == HOME {
            text.push_str(&parameter());
        }
        Ok((file.to_owned(), text))
    });
    changed.collect()
}

fn parameter() -> String {
    format!(
        "\nint {PARAMETER};\nstatic int __init {PARAMETER}_setup(char *text)\n{{\n\
         \treturn kstrtoint(text, 0, &{PARAMETER});\n}}\n\
         early_param(\"{PARAMETER}\", {PARAMETER}_setup);\n"
    )
}

fn with_copies(text: &str, mutants: &[(usize, &Mutant)]) -> String {
    let mut out = String::new();
    let mut at = 0;
    let mut declared = false;
    for function in source::functions(text) {
        let range = function.range.clone();
        let mine: Vec<_> = mutants
            .iter()
            .filter(|(_, mutant)| range.contains(&mutant.edit.range.start))
            .collect();
        if mine.is_empty() {
            continue;
        }
        out.push_str(text.get(at..range.start).unwrap_or_default());
        if !declared {
            let _ = writeln!(out, "extern int {PARAMETER};");
            declared = true;
        }
        for (number, mutant) in &mine {
            out.push_str(&copy(text, &function, *number, mutant));
        }
        let numbers: Vec<usize> = mine.iter().map(|(number, _)| *number).collect();
        out.push_str(&dispatching(text, &function, &numbers));
        at = range.end;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}

/// Returns the function with the mutant, under its own name.
fn copy(text: &str, function: &Function, number: usize, mutant: &Mutant) -> String {
    let grown = mutant.edit.apply(text);
    // The end of the function keeps its distance from the end of the text.
    let behind = text.len() - function.range.end;
    let body = grown.get(function.open..grown.len() - behind);
    let signature = text.get(function.range.start..function.open);
    let (signature, body) = (signature.unwrap_or_default(), body.unwrap_or_default());
    let renamed = renamed(
        signature,
        &function.name,
        &copy_name(&function.name, number),
    );
    let linkage = if is_static(signature) { "" } else { "static " };
    format!("{linkage}{renamed}{body}\n\n")
}

/// Returns the function itself, which first checks the number.
fn dispatching(text: &str, function: &Function, numbers: &[usize]) -> String {
    let signature = text.get(function.range.start..function.open);
    let signature = signature.unwrap_or_default();
    let arguments = parameters(signature, &function.name).join(", ");
    let mut out = format!("{signature}{{");
    for number in numbers {
        let call = format!("{}({arguments})", copy_name(&function.name, *number));
        let answer = if is_void(signature, &function.name) {
            format!(" {{\n\t\t{call};\n\t\treturn;\n\t}}")
        } else {
            format!("\n\t\treturn {call};")
        };
        let _ = write!(out, "\n\tif ({PARAMETER} == {number}){answer}");
    }
    let body = text.get(function.open + 1..function.range.end);
    out + body.unwrap_or_default()
}

fn copy_name(name: &str, number: usize) -> String {
    format!("{name}__mutant_{number}")
}

fn renamed(signature: &str, name: &str, to: &str) -> String {
    let before = head(signature, name);
    let after = signature.get(before.len() + name.len()..);
    format!("{before}{to}{}", after.unwrap_or_default())
}

/// Returns the part before the name.
fn head<'a>(signature: &'a str, name: &str) -> &'a str {
    let parenthesis = signature.find('(').unwrap_or(signature.len());
    let before = signature.get(..parenthesis).unwrap_or_default().trim_end();
    before.strip_suffix(name).unwrap_or(before)
}

fn is_static(signature: &str) -> bool {
    signature.split_whitespace().any(|word| word == "static")
}

fn is_void(signature: &str, name: &str) -> bool {
    let head = head(signature, name);
    !head.contains('*') && head.split_whitespace().any(|word| word == "void")
}

/// The names of the parameters.
fn parameters(signature: &str, name: &str) -> Vec<String> {
    let rest = signature.get(head(signature, name).len() + name.len()..);
    let inside = rest
        .and_then(|rest| rest.trim().strip_prefix('('))
        .and_then(|rest| rest.rfind(')').and_then(|end| rest.get(..end)))
        .unwrap_or_default();
    split(inside)
        .iter()
        .filter_map(|text| parameter_name(text))
        .collect()
}

/// Splits at the commas that are not in parentheses.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match parts.last_mut() {
            Some(part) if c != ',' || depth > 0 => part.push(c),
            _ => parts.push(String::new()),
        }
    }
    parts
}

/// Returns the last word, or the one in `(*name)` of a pointer to a function.
fn parameter_name(text: &str) -> Option<String> {
    let pointer = text.split_once("(*").map(|(_, rest)| rest);
    let text = match pointer {
        Some(rest) => rest.split(')').next()?,
        None => text.split('[').next()?,
    };
    let word = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .rfind(|word| !word.is_empty())?;
    (word != "void").then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edit::Edit;
    use rstest::rstest;

    const SOURCE: &str = "\
#include <a.h>

static int first(struct a *a, u32 ids[],
		 int (*fn)(int, void *), unsigned int b)
{
	return b;
}

void second(void)
{
	first();
}
";

    fn mutant(text: &str, replacement: &str) -> Mutant {
        let start = SOURCE.find(text).unwrap();
        Mutant {
            id: "m".into(),
            area: String::new(),
            file: "a.c".into(),
            function: String::new(),
            rule: String::new(),
            clauses: Vec::new(),
            survives: None,
            source: None,
            edit: Edit {
                range: start..start + text.len(),
                replacement: replacement.into(),
            },
        }
    }

    #[test]
    fn functions_with_mutants_choose() {
        let (a, b) = (mutant("return b", "return 0"), mutant("first();", ""));
        let text = with_copies(SOURCE, &[(1, &a), (2, &b), (3, &a)]);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn without_mutants_nothing_changes() {
        assert_eq!(with_copies(SOURCE, &[]), SOURCE);
    }

    #[rstest]
    #[case("struct a *a", Some("a"))]
    #[case("void", None)]
    #[case("", None)]
    #[case("const char buf[16]", Some("buf"))]
    #[case("int (*fn)(struct pci_dev *, void *data)", Some("fn"))]
    fn names_of_parameters(#[case] text: &str, #[case] want: Option<&str>) {
        assert_eq!(parameter_name(text).as_deref(), want);
    }
}
