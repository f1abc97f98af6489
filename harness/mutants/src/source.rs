//! Finds functions in C source by the kernel's coding style.
//!
//! This is not a parser. A definition begins in the first column with an identifier, has its name
//! before a parenthesis, and ends with a closing brace in the first column. Code in another style
//! is not found.

use std::ops::Range;

/// A function definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// From the first byte of its signature to behind its closing brace.
    pub range: Range<usize>,
    /// Offset of its opening brace.
    pub open: usize,
}

impl Function {
    /// Returns the range of its body, including the braces.
    pub fn body(&self) -> Range<usize> {
        self.open..self.range.end
    }
}

/// Returns all function definitions, in the order of the text.
pub fn functions(text: &str) -> Vec<Function> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        match definition(text, at) {
            Some(function) => {
                at = function.range.end;
                found.push(function);
            }
            None => at = next_line(text, at),
        }
    }
    found
}

/// Returns the definitions of a name. There are several if `#ifdef` selects one.
pub fn find(text: &str, name: &str) -> Vec<Function> {
    let mut all = functions(text);
    all.retain(|function| function.name == name);
    all
}

/// Returns the definition that begins in the line at an offset.
fn definition(text: &str, start: usize) -> Option<Function> {
    let rest = text.get(start..)?;
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        .then_some(())?;
    let parenthesis = rest.find('(')?;
    let name = name_before(rest.get(..parenthesis)?)?;
    let open = rest.find('{')?;
    let signature = rest.get(..open)?;
    // The brace is alone in its line, and nothing before it ends a statement.
    let own_line = signature.ends_with('\n') && parenthesis < open;
    let plain = !signature.contains([';', '=', '"', '#']);
    // An attribute or macro call before the signature is not a name.
    let macro_call = matches!(name, "__attribute__" | "EXPORT_SYMBOL" | "if" | "while");
    if !own_line || !plain || macro_call {
        return None;
    }
    let end = rest.get(open..)?.find("\n}").map(|at| open + at + 2)?;
    Some(Function {
        name: name.to_owned(),
        range: start..start + end,
        open: start + open,
    })
}

/// Returns the identifier at the end of a text.
fn name_before(text: &str) -> Option<&str> {
    let trimmed = text.trim_end();
    let start = trimmed
        .rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .map_or(0, |at| at + 1);
    trimmed.get(start..).filter(|name| !name.is_empty())
}

fn next_line(text: &str, at: usize) -> usize {
    text.get(at..)
        .and_then(|rest| rest.find('\n'))
        .map_or(text.len(), |newline| at + newline + 1)
}

/// Returns the line of an offset, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or(text);
    before.bytes().filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const SOURCE: &str = "\
#include <a.h>
static int x = 3;
struct a {
	int b;
};
int declared(int a);
static int
split(struct a *a,
      int b)
{
	if (b) {
		return 1;
	}
	return 0;
}
EXPORT_SYMBOL_GPL(split);

#ifdef A
void twice(void)
{
}
#else
void twice(void)
{
	split(0, 1);
}
#endif
static const struct ops ops = {
	.a = split,
};
struct a *pointer(void)
{
	return 0;
}
";

    #[test]
    fn finds_definitions_and_nothing_else() {
        let names: Vec<_> = functions(SOURCE).into_iter().map(|f| f.name).collect();
        assert_eq!(names, ["split", "twice", "twice", "pointer"]);
    }

    #[test]
    fn knows_where_one_ends() {
        let found = find(SOURCE, "split");
        let text = &SOURCE[found[0].range.clone()];
        assert!(text.starts_with("static int\nsplit(") && text.ends_with("return 0;\n}"));
        assert!(SOURCE[found[0].body()].starts_with("{\n\tif"));
    }

    #[rstest]
    #[case(0, 1)]
    #[case(15, 2)]
    fn counts_lines(#[case] offset: usize, #[case] line: usize) {
        assert_eq!(line_of(SOURCE, offset), line);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "\\PC{0,80}") {
            let _ = functions(&text);
        }

        #[test]
        fn ranges_are_in_order_and_within(text in "[a{}()\\n;\t =\"]{0,120}") {
            let mut end = 0;
            for function in functions(&text) {
                prop_assert!(end <= function.range.start);
                prop_assert!(text.get(function.body()).is_some());
                end = function.range.end;
            }
        }
    }
}
