//! Finds the lines of C source that return an error.

/// A line that returns an error: `return -EINVAL;`, `rc = -ENOMEM;`, `ERR_PTR(-ENOENT)`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorLine {
    /// Its number, from 1.
    pub line: u32,
    /// The errors that it can return, by name, in order.
    pub errnos: Vec<String>,
    /// Its text, without indentation and comments.
    pub text: String,
    /// The lines before it, back to an empty one or to one that also returns an error.
    pub before: String,
}

/// Maximum number of lines before.
const BEFORE: usize = 8;

/// Returns the lines that return an error. An errno in a comparison, a comment or a string does not
/// count.
pub fn error_lines(source: &str) -> Vec<ErrorLine> {
    let code = without_comments(source);
    let lines: Vec<&str> = code.lines().collect();
    let found = lines.iter().zip(1..).enumerate();
    let found = found.filter_map(|(index, (line, number))| {
        let errnos = yielded(line);
        (!errnos.is_empty()).then(|| ErrorLine {
            line: number,
            errnos,
            text: spaced(line),
            before: before(&lines[..index]),
        })
    });
    found.collect()
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns the last lines, joined.
fn before(lines: &[&str]) -> String {
    let empty = |line: &&&str| line.trim().is_empty();
    let above = lines.iter().rev().skip_while(empty).take(BEFORE);
    let mut leads: Vec<_> = above
        .take_while(|line| !empty(line) && yielded(line).is_empty())
        .copied()
        .collect();
    leads.reverse();
    spaced(&leads.join(" "))
}

/// Returns the errnos that a line without comments can return.
fn yielded(line: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, _) in line.match_indices("-E") {
        let (before, rest) = (&line[..at], &line[at + 1..]);
        let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if is_errno(name) && !is_compared(before, after) {
            names.push(name.to_owned());
        }
    }
    names
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Whether a name is an errno such as `EINVAL` or `E2BIG`, and not `E` or `EXPORT_SYMBOL`.
fn is_errno(name: &str) -> bool {
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    name.len() > 2 && name.chars().all(upper)
}

/// Whether the value between the two is an operand of a comparison, or a label.
fn is_compared(before: &str, after: &str) -> bool {
    let before = before.trim_end();
    let after = after.trim_start();
    let left = ["==", "!=", "<", ">", "<=", ">="];
    let label = before.trim_start() == "case";
    label
        || left.iter().any(|operator| before.ends_with(operator))
        || ["==", "!="]
            .iter()
            .any(|operator| after.starts_with(operator))
}

/// Kind of text that a character of C source belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Code,
    LineComment,
    BlockComment,
    /// In a string or a character, up to this quote.
    Quoted(char),
}

/// Returns the source with comments and strings blanked; line numbers do not change.
fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut state = State::Code;
    let mut rest = source.chars().peekable();
    while let Some(c) = rest.next() {
        let next = rest.peek().copied();
        let (shown, then) = match (state, c, next) {
            (State::LineComment, '\n', _) => ('\n', State::Code),
            (_, '\n', _) => ('\n', state),
            (State::Code, '/', Some('*')) => (' ', State::BlockComment),
            (State::Code, '/', Some('/')) => (' ', State::LineComment),
            (State::Code, '"' | '\'', _) => (' ', State::Quoted(c)),
            (State::Code, _, _) => (c, State::Code),
            (State::BlockComment, '*', Some('/')) => (' ', State::Code),
            (State::Quoted(quote), _, _) if c == quote => (' ', State::Code),
            _ => (' ', state),
        };
        code.push(shown);
        // The second character of a mark, or an escaped character, does not start a mark.
        let two = matches!(
            (state, then),
            (State::Code, State::BlockComment | State::LineComment)
                | (State::BlockComment, State::Code)
        );
        let escape = matches!(state, State::Quoted(_)) && c == '\\' && next != Some('\n');
        if (two || escape) && rest.next().is_some() {
            code.push(' ');
        }
        state = then;
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("\treturn -EINVAL;", &["EINVAL"])]
    #[case::digit("return -E2BIG;", &["E2BIG"])]
    #[case::pointer("return ERR_PTR(-ENOENT);", &["ENOENT"])]
    #[case::assigned("rc = -ENOMEM;", &["ENOMEM"])]
    #[case::choice("return x ? -EIO : -EPERM;", &["EIO", "EPERM"])]
    #[case::argument("iommufd_fail(ucmd, -EFAULT);", &["EFAULT"])]
    #[case::condition("if (rc == -EBUSY)", &[])]
    #[case::condition_of_two("if (ret && ret != -ENODEV) {", &[])]
    #[case::turned("if (-EBUSY == rc)", &[])]
    #[case::condition_and_return("if (rc == -EBUSY) return -EAGAIN;", &["EAGAIN"])]
    #[case::warning("WARN_ON(rc && rc != -ENOENT);", &[])]
    #[case::label("case -EAGAIN:", &[])]
    #[case::comment("return 0; /* not -EINVAL */", &[])]
    #[case::line_comment("return 0; // not -EINVAL", &[])]
    #[case::string("pr_warn(\"-EINVAL\");", &[])]
    #[case::escaped("pr_warn(\"\\\"-EINVAL\"); return -EIO;", &["EIO"])]
    #[case::quote("c = '\"'; return -EIO;", &["EIO"])]
    #[case::other_name("x = -ENTRY_SIZE;", &[])]
    #[case::short("x = -E;", &[])]
    #[case::macro_name("x = a-EXPORT_SYMBOL(y);", &[])]
    fn knows_what_yields(#[case] line: &str, #[case] want: &[&str]) {
        let found: Vec<_> = error_lines(line)
            .into_iter()
            .flat_map(|e| e.errnos)
            .collect();
        assert_eq!(found, want);
    }

    #[test]
    fn lines_keep_their_numbers() {
        let source = "/*\n * -EINVAL\n */\n\nint f(void)\n{\n\treturn  -EIO; /* why */\n}\n";
        let want = ErrorLine {
            line: 7,
            errnos: vec!["EIO".to_owned()],
            text: "return -EIO;".to_owned(),
            before: "int f(void) {".to_owned(),
        };
        assert_eq!(error_lines(source), [want]);
    }

    #[rstest]
    #[case("if (a)\n return -EIO;\nif (b)\n return -EIO;", &["if (a)", "if (b)"])]
    #[case("f();\n\n return -EIO;", &["f();"])]
    #[case("f();\n\nif (a &&\n    b)\n return -EIO;", &["if (a && b)"])]
    fn what_leads_to_it_ends_with_the_one_before(#[case] source: &str, #[case] want: &[&str]) {
        let found: Vec<_> = error_lines(source).into_iter().map(|e| e.before).collect();
        assert_eq!(found, want);
    }

    proptest! {
        #[test]
        fn no_source_makes_it_panic(source in "\\PC{0,200}") {
            let _ = error_lines(&source);
        }

        #[test]
        fn marks_in_any_order_keep_the_lines(source in "[/*\"'\\\\\na -EINVAL]{0,60}") {
            let lines = without_comments(&source).matches('\n').count();
            prop_assert_eq!(lines, source.matches('\n').count());
        }
    }
}
