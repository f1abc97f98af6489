//! One change to a text.

use std::ops::Range;

/// A replacement of a part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// The part.
    pub range: Range<usize>,
    /// What takes its place.
    pub replacement: String,
}

impl Edit {
    /// Returns the text with the change. A range beyond the end of the text changes nothing.
    pub fn apply(&self, text: &str) -> String {
        let before = text.get(..self.range.start).unwrap_or(text);
        let after = text.get(self.range.end..).unwrap_or_default();
        let replacement = indented(&self.replacement, before);
        format!("{before}{replacement}{after}")
    }
}

/// Indents further lines of a replacement like its first line, so that the compiler does not warn
/// about misleading indentation.
fn indented(replacement: &str, before: &str) -> String {
    let line = before.rsplit('\n').next().unwrap_or_default();
    let rest = line.trim_start_matches([' ', '\t']);
    let indent = line.get(..line.len() - rest.len()).unwrap_or_default();
    replacement.replace('\n', &format!("\n{indent}"))
}

/// Returns the occurrences of a pattern within a part of a text. White space in the pattern matches
/// any white space.
pub fn occurrences(text: &str, within: Range<usize>, pattern: &str) -> Vec<Range<usize>> {
    let words: Vec<&str> = pattern.split_whitespace().collect();
    let Some(first) = words.first() else {
        return Vec::new();
    };
    let part = text.get(within.clone()).unwrap_or_default();
    part.match_indices(first)
        .filter_map(|(at, _)| {
            let start = within.start + at;
            let length = length_of(text.get(start..within.end)?, &words)?;
            Some(start..start + length)
        })
        .collect()
}

/// Returns the length of the words at the start of the text, if it begins with them.
fn length_of(text: &str, words: &[&str]) -> Option<usize> {
    let mut rest = text;
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            let trimmed = rest.trim_start();
            (trimmed.len() < rest.len()).then_some(())?;
            rest = trimmed;
        }
        rest = rest.strip_prefix(word)?;
    }
    Some(text.len() - rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const TEXT: &str = "{\n\tif (a &&\n\t    b)\n\t\treturn -EINVAL;\n\treturn 0;\n}";

    #[rstest]
    #[case("return 0;", 1)]
    #[case("return", 2)]
    #[case("if (a && b) return -EINVAL;", 1)]
    #[case("if (a &&b)", 0)]
    #[case("", 0)]
    #[case("nowhere", 0)]
    fn counts(#[case] pattern: &str, #[case] want: usize) {
        assert_eq!(occurrences(TEXT, 0..TEXT.len(), pattern).len(), want);
    }

    #[test]
    fn only_within() {
        assert!(occurrences(TEXT, 0..10, "return 0;").is_empty());
    }

    #[test]
    fn takes_the_indentation_along() {
        let range = occurrences(TEXT, 0..TEXT.len(), "return 0;").remove(0);
        let edit = Edit {
            range,
            replacement: "a();\nb();".into(),
        };
        assert!(edit.apply(TEXT).ends_with("\n\ta();\n\tb();\n}"));
    }

    proptest! {
        #[test]
        fn what_is_applied_can_be_taken_back(
            before in "[a-c\n\t ]{0,30}",
            middle in "[a-c\n]{0,10}",
            after in "\\PC{0,30}",
            replacement in "[x-z]{0,10}",
        ) {
            let text = format!("{before}{middle}{after}");
            let range = before.len()..before.len() + middle.len();
            let changed = Edit { range: range.clone(), replacement: replacement.clone() }.apply(&text);
            prop_assert_eq!(&changed, &format!("{before}{replacement}{after}"));
            let back = range.start..range.start + replacement.len();
            let restored = format!("{}{}{}", &changed[..back.start], middle, &changed[back.end..]);
            prop_assert_eq!(restored, text);
        }

        #[test]
        fn a_part_of_a_text_is_found(before in "[a-c\n\t ]{0,30}", part in "[x-z;]{1,10}", after in "[a-c ]{0,30}") {
            let text = format!("{before}{part}{after}");
            prop_assert!(occurrences(&text, 0..text.len(), &part).contains(&(before.len()..before.len() + part.len())));
        }
    }
}
