//! Errors in case files, with their locations.

use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::node::{At, at_of};

/// One error at one location.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}")]
pub struct Problem {
    /// Where the error is.
    pub at: At,
    /// What is wrong.
    pub kind: ProblemKind,
    /// How to fix it.
    pub help: Option<String>,
}

/// Kinds of error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// The text is not YAML; this is the message of the parser.
    #[error("{0}")]
    Yaml(String),
    /// Something else belongs here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What was expected.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An unknown key.
    #[error("unknown key `{key}` in {what}")]
    UnknownKey {
        /// The key in question.
        key: String,
        /// The mapping that it is in.
        what: String,
    },
    /// A key that has to be there.
    #[error("`{key}` is missing in {what}")]
    Missing {
        /// The key in question.
        key: String,
        /// The mapping that needs it.
        what: String,
    },
    /// An unknown name.
    #[error("unknown {what} `{name}`")]
    UnknownName {
        /// Kind of name.
        what: String,
        /// The name that the file gives.
        name: String,
    },
    /// Any other error, in full.
    #[error("{0}")]
    Other(String),
}

impl Problem {
    /// Returns the error of the YAML parser.
    pub fn yaml(error: &serde_yaml::Error, file: usize) -> Self {
        let text = error.without_snippet().to_string();
        let text = text.lines().next().unwrap_or_default();
        let (text, told) = split_place(text);
        let mut at = error.location().map(at_of).unwrap_or_default();
        if let Some((line, column)) = told.filter(|told| *told != (at.line, at.column)) {
            at = At {
                line,
                column,
                ..At::default()
            };
        }
        at.file = file;
        let text = text.to_owned();
        Self {
            at,
            kind: ProblemKind::Yaml(text),
            help: None,
        }
    }

    /// Something else belongs here.
    pub fn expected(at: At, expected: &str, found: &str) -> Self {
        let kind = ProblemKind::Expected {
            expected: expected.to_owned(),
            found: found.to_owned(),
        };
        Self {
            at,
            kind,
            help: None,
        }
    }

    /// A key that has to be there.
    pub fn missing(at: At, key: &str, what: &str) -> Self {
        let kind = ProblemKind::Missing {
            key: key.to_owned(),
            what: what.to_owned(),
        };
        Self {
            at,
            kind,
            help: None,
        }
    }

    /// An unknown key; suggests the nearest known one.
    pub fn unknown_key<'a>(
        at: At,
        key: &str,
        what: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let kind = ProblemKind::UnknownKey {
            key: key.to_owned(),
            what: what.to_owned(),
        };
        Self {
            at,
            kind,
            help: suggest(key, known),
        }
    }

    /// An unknown name; suggests the nearest known one.
    pub fn unknown_name<'a>(
        at: At,
        what: &str,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let kind = ProblemKind::UnknownName {
            what: what.to_owned(),
            name: name.to_owned(),
        };
        Self {
            at,
            kind,
            help: suggest(name, known),
        }
    }

    /// Returns an error with this text.
    pub fn other(at: At, text: impl Into<String>) -> Self {
        Self {
            at,
            kind: ProblemKind::Other(text.into()),
            help: None,
        }
    }

    /// Adds how to fix it.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }
}

/// Returns the byte offset of a line and column; columns count characters.
fn offset(text: &str, at: At) -> usize {
    let mut start = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number + 1 == at.line as usize {
            let before = line.chars().take((at.column as usize).saturating_sub(1));
            return start + before.map(char::len_utf8).sum::<usize>();
        }
        start += line.len();
    }
    text.len()
}

/// Splits the location off a message of the parser. It is more exact than the parser's own
/// location.
fn split_place(text: &str) -> (&str, Option<(u32, u32)>) {
    let parse = |rest: &str| {
        let (line, column) = rest.split_once(", column ")?;
        Some((line.parse().ok()?, column.parse().ok()?))
    };
    match text.rsplit_once(" at line ") {
        Some((text, rest)) => (text, parse(rest)),
        None => (text, None),
    }
}

/// Returns the known name that is nearest to a misspelt one.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let scored = known
        .into_iter()
        .map(|other| (strsim::jaro_winkler(&lower, &other.to_lowercase()), other))
        .filter(|(score, _)| *score > 0.8);
    let best = scored.max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map(|(_, other)| other)
}

/// Returns a suggestion for an unknown name, or a list of known names.
pub(crate) fn suggest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut known: Vec<_> = known.into_iter().collect();
    known.sort_unstable();
    known.dedup();
    match nearest(name, known.iter().copied()) {
        Some(near) => Some(format!("did you mean `{near}`?")),
        _ if known.is_empty() || known.len() > 30 => None,
        _ => Some(format!("known here: {}", known.join(", "))),
    }
}

/// The files that locations refer to.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    files: Vec<(PathBuf, String)>,
}

impl Sources {
    /// Adds a file and returns its index.
    pub fn add(&mut self, path: PathBuf, text: String) -> usize {
        self.files.push((path, text));
        self.files.len() - 1
    }

    /// Path of a file.
    pub fn path(&self, file: usize) -> &Path {
        self.files
            .get(file)
            .map_or(Path::new("?"), |(path, _)| path)
    }

    /// Text of a file.
    pub fn text(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |(_, text)| text)
    }

    /// Returns the error for a file that is not UTF-8 from this byte on.
    pub(crate) fn not_utf8(&self, file: usize, offset: usize) -> Problem {
        let before = self.text(file).get(..offset).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let at = At {
            file,
            line: before.matches('\n').count() as u32 + 1,
            column: line.chars().count() as u32 + 1,
            start: offset,
            length: char::REPLACEMENT_CHARACTER.len_utf8(),
        };
        Problem::other(at, format!("byte {offset} of the file is not UTF-8"))
            .help("save the file as UTF-8")
    }

    /// Returns a location as `path:line:column`.
    pub fn place(&self, at: At) -> String {
        format!("{}:{}:{}", self.path(at.file).display(), at.line, at.column)
    }

    /// Renders an error with its line of source, in rustc's format.
    pub fn render(&self, problem: &Problem, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let text = self.text(problem.at.file);
        let path = self.path(problem.at.file).display().to_string();
        let title = problem.kind.to_string();
        let span = self.span(problem.at);
        let snippet = Snippet::source(text)
            .path(path)
            .annotation(AnnotationKind::Primary.span(span));
        let mut group = Group::with_title(Level::ERROR.primary_title(title)).element(snippet);
        if let Some(help) = &problem.help {
            group = group.element(Level::HELP.message(help.clone()));
        }
        renderer.render(&[group])
    }

    /// Returns the byte range within the text, on one line.
    fn span(&self, at: At) -> std::ops::Range<usize> {
        let text = self.text(at.file);
        // A location from a message of the YAML parser has no offset.
        let told = at.start == 0 && (at.line, at.column) > (1, 1);
        let start = if told {
            offset(text, at)
        } else {
            at.start.min(text.len())
        };
        let end = start.saturating_add(at.length).min(text.len());
        let Some(marked) = text.get(start..end) else {
            return 0..0;
        };
        let line = marked.lines().next().unwrap_or_default();
        start..start + line.trim_end().len()
    }
}
