//! Text in C: literals and comments.

/// Width of the lines of a comment.
const WIDTH: usize = 90;

/// A string literal of C.
pub fn literal(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(byte.into());
            }
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b' '..=b'~' => out.push(byte.into()),
            // An escape of three octal digits has a fixed length, unlike a hexadecimal one.
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

/// Returns a literal without conversions of `printf`.
pub fn format_literal(text: &str) -> String {
    literal(&text.replace('%', "%%"))
}

/// Returns paragraphs as one comment. An empty one is an empty line, and one that begins with a
/// space is not wrapped.
pub fn comment(paragraphs: &[String]) -> String {
    let mut out = String::from("/*\n");
    for paragraph in paragraphs {
        let safe = paragraph.replace("*/", "* /").replace("/*", "/ *");
        for line in safe.lines().filter(|line| !line.is_empty()) {
            if line.starts_with(' ') {
                out.push_str(&format!(" * {line}\n"));
                continue;
            }
            for part in textwrap::wrap(line, WIDTH) {
                out.push_str(&format!(" * {part}\n"));
            }
        }
        if safe.is_empty() {
            out.push_str(" *\n");
        }
    }
    out.push_str(" */\n");
    out
}

/// Returns the identifiers of C code, except those in strings and comments.
pub fn names(code: &str) -> std::collections::BTreeSet<&str> {
    let mut found = std::collections::BTreeSet::new();
    let mut rest = code;
    let starts = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '"' | '/');
    while let Some(start) = rest.find(starts) {
        rest = &rest[start..];
        if rest.starts_with('"') {
            rest = after_string(rest);
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(comment) = rest.strip_prefix("//") {
            rest = comment.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix('/') {
            rest = after;
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let (name, after) = rest.split_at(end.unwrap_or(rest.len()));
            found.insert(name);
            rest = after;
        }
    }
    found
}

/// Returns the code after the string literal at its start.
fn after_string(code: &str) -> &str {
    let mut escaped = false;
    for (at, c) in code.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &code[at + 1..],
            _ => {}
        }
    }
    ""
}

/// Indents lines by one tab.
pub fn indented(code: &str) -> String {
    code.lines()
        .map(|line| match line {
            "" => "\n".to_owned(),
            _ if line.starts_with('#') => format!("{line}\n"),
            _ => format!("\t{line}\n"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("a b", r#""a b""#)]
    #[case::escapes("\"\\\n\t", r#""\"\\\n\t""#)]
    #[case::no_digit_is_swallowed("\u{1}1", r#""\0011""#)]
    fn literals_are_what_they_say(#[case] text: &str, #[case] want: &str) {
        assert_eq!(literal(text), want);
    }

    #[test]
    fn names_in_strings_and_comments_are_none() {
        let found = names("open(\"ioctl \\\" close\", a_1 / b); // x\n/* y \" z */ c");
        let found: Vec<_> = found.into_iter().collect();
        assert_eq!(found, ["a_1", "b", "c", "open"]);
    }

    #[test]
    fn a_comment_does_not_end_early() {
        let text = comment(&["a */ b".to_owned(), String::new(), "  - c".to_owned()]);
        assert_eq!(text, "/*\n * a * / b\n *\n *   - c\n */\n");
    }
}
