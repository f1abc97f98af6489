//! Known deviations: the pages of `results/findings`, one for each.
//!
//! A page begins with a front matter in YAML that a program can read. Its heading is the title,
//! and its sections are always the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, fs,
    path::Path,
};

use uapi::Series;

use crate::{
    Corpus, CorpusError,
    corpus::none_of,
    fields::Fields,
    needs::read_series,
    node::{At, Name, Node},
    problem::{Problem, Sources},
};

/// A known deviation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its page.
    pub at: At,
    /// What is wrong, in a sentence.
    pub title: String,
    /// The project at fault.
    pub of: Project,
    /// Platforms on which it was seen, where that matters.
    pub platforms: Vec<String>,
    /// Versions with which it was seen.
    pub seen: String,
    /// The first release that has it, where that is known.
    pub since: Option<Series>,
    /// Why no case shows it.
    pub no_case: Option<String>,
}

/// A project that can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Project {
    /// Linux.
    Kernel,
    /// The emulator.
    Qemu,
    /// This suite.
    Suite,
}

impl Project {
    const ALL: [(&str, Self); 3] = [
        ("kernel", Self::Kernel),
        ("qemu", Self::Qemu),
        ("suite", Self::Suite),
    ];

    fn read(node: &Node) -> Result<Self, Problem> {
        let text = node.text()?;
        let known = Self::ALL.iter().find(|(name, _)| *name == text);
        known.map(|(_, project)| *project).ok_or_else(|| {
            let names = Self::ALL.iter().map(|(name, _)| *name);
            Problem::unknown_name(node.at, "project", text, names)
        })
    }
}

impl fmt::Display for Project {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(_, project)| project == self);
        f.pad(name.map_or("", |(name, _)| name))
    }
}

/// The sections of a page, in this order.
const SECTIONS: [&str; 4] = ["What", "Evidence", "Cases", "Mend"];
/// What begins and ends the front matter.
const RULE: &str = "---\n";
/// The index, which is not a page.
const INDEX: &str = "README.md";

/// All known deviations by name.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pages: BTreeMap<String, Finding>,
    sources: Sources,
}

impl Findings {
    /// Reads the pages of a folder; `colour` is for the rendering of errors.
    ///
    /// # Errors
    /// With every problem of every page.
    pub fn load(folder: &Path, colour: bool) -> Result<Self, CorpusError> {
        let failed = |error| CorpusError::Io {
            path: folder.to_owned(),
            error,
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let is_page = path.extension().is_some_and(|ending| ending == "md");
            if is_page && path.file_name().is_some_and(|name| name != INDEX) {
                paths.push(path);
            }
        }
        paths.sort();
        let mut findings = Self::default();
        let mut problems = Vec::new();
        for path in paths {
            let text = fs::read_to_string(&path).map_err(|error| CorpusError::Io {
                path: path.clone(),
                error,
            })?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let file = findings.sources.add(path.clone(), text);
            match read(findings.sources.text(file), file) {
                Ok(finding) => drop(findings.pages.insert(name.into_owned(), finding)),
                Err(problem) => problems.push(problem),
            }
        }
        none_of(&problems, &findings.sources, colour)?;
        Ok(findings)
    }

    /// The finding of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Finding> {
        self.pages.get(name)
    }

    /// All of them with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let pages = self.pages.iter();
        pages.map(|(name, finding)| (name.as_str(), finding))
    }

    /// The finding that is named at a place.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn named(&self, at: At, name: &str) -> Result<&Finding, Problem> {
        let known = || self.pages.keys().map(String::as_str);
        self.get(name)
            .ok_or_else(|| Problem::unknown_name(at, "finding", name, known()))
    }

    /// The finding that a node names, with the name.
    pub(crate) fn read(&self, node: &Node) -> Result<Known, Problem> {
        let name = node.text()?;
        let title = &self.named(node.at, name)?.title;
        Ok(Known {
            name: name.to_owned(),
            reason: format!("{name}: {title}"),
        })
    }

    /// Pages that do not agree with the cases: a finding that nothing shows and that does not say
    /// why, a case that the page does not name, a case that does not exist. `elsewhere` are the
    /// findings that others than cases name.
    #[must_use]
    pub fn check(
        &self,
        corpus: &Corpus,
        elsewhere: &BTreeSet<String>,
        colour: bool,
    ) -> Vec<String> {
        let mut problems = Vec::new();
        for (name, finding) in self.iter() {
            let files = corpus.files_with(name);
            let shown = !files.is_empty() || elsewhere.contains(name);
            let help = match (shown, &finding.no_case) {
                (false, None) => "no case and no platform names this finding",
                (true, Some(_)) => "a case or a platform names this finding, which has `no_case`",
                _ => "",
            };
            if !help.is_empty() {
                let fix =
                    "name it in a case (`xfail`, `shows`, `except`), or say why not in `no_case`";
                problems.push(Problem::other(finding.at, help).help(fix));
            }
            problems.extend(self.check_spans(finding, &files, corpus));
        }
        let render = |problem| self.sources.render(problem, colour);
        problems.iter().map(render).collect()
    }

    /// Compares the cases that a page names with those that name it.
    fn check_spans(
        &self,
        finding: &Finding,
        files: &BTreeSet<&str>,
        corpus: &Corpus,
    ) -> Vec<Problem> {
        let spans = spans(self.sources.text(finding.at.file), finding.at.file);
        let named = |file: &&&str| spans.iter().any(|span| span.text == **file);
        let missing = files.iter().filter(|file| !named(file)).map(|file| {
            let text = format!("the case {file} names this finding, and its page does not name it");
            Problem::other(finding.at, text)
        });
        let folders: BTreeSet<_> = corpus
            .cases
            .iter()
            .filter_map(|case| case.folder())
            .collect();
        let about = spans.iter().filter(|span| {
            let folder = span.text.split_once('/').map(|(folder, _)| folder);
            folder.is_some_and(|folder| folders.contains(folder))
        });
        let known = |id: &str| corpus.cases.iter().any(|case| case.is_in(id));
        let unknown = about.filter(|span| !known(&span.text)).map(|span| {
            let files = corpus.cases.iter().map(|case| case.file.as_str());
            Problem::unknown_name(span.at, "case", &span.text, files)
        });
        missing.chain(unknown).collect()
    }
}

/// A finding that a case names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: String,
    /// Its name and title: the reason of an XFAIL.
    pub reason: String,
}

fn read(text: &str, file: usize) -> Result<Finding, Problem> {
    let at = At {
        file,
        line: 1,
        column: 1,
        start: 0,
        length: RULE.len() - 1,
    };
    let end = text
        .strip_prefix(RULE)
        .and_then(|rest| rest.find("\n---\n"));
    let Some(end) = end else {
        return Err(Problem::other(
            at,
            "a page begins with a front matter between two lines `---`",
        ));
    };
    // With its first line, so that places are right.
    let (head, body) = text.split_at(RULE.len() + end + 1);
    let node = Node::parse(head, file)?;
    let mut fields = Fields::of(&node, "front matter of a finding")?;
    let texts = |node: Option<&Node>| -> Result<Vec<String>, Problem> {
        let items = node.map_or(&[][..], Node::items).iter();
        items.map(|item| item.text().map(str::to_owned)).collect()
    };
    let of = Project::read(fields.need("of")?)?;
    let platforms = texts(fields.take("platforms"))?;
    let seen = fields.need("seen")?.text()?.to_owned();
    let since = fields.take("since").map(read_series).transpose()?;
    let no_case = fields.text("no_case")?.map(|why| why.trim().to_owned());
    fields.finish()?;
    Ok(Finding {
        at,
        title: title(body, at)?,
        of,
        platforms,
        seen,
        since,
        no_case,
    })
}

/// The heading, after a look at the sections.
fn title(body: &str, at: At) -> Result<String, Problem> {
    let mut fenced = false;
    let lines = body.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced
    });
    let lines: Vec<_> = lines.collect();
    let with = |mark: &'static str| lines.iter().filter_map(move |line| line.strip_prefix(mark));
    let sections: Vec<_> = with("## ").collect();
    if sections != SECTIONS {
        let text = format!("the sections of a page are {}", SECTIONS.join(", "));
        return Err(Problem::other(at, text));
    }
    match with("# ").collect::<Vec<_>>().as_slice() {
        [title] => Ok((*title).to_owned()),
        _ => Err(Problem::other(at, "a page has one heading `# `, its title")),
    }
}

/// What stands between backticks on one line.
fn spans(text: &str, file: usize) -> Vec<Name> {
    let mut spans = Vec::new();
    let mut start = 0;
    for (line, number) in text.split_inclusive('\n').zip(1..) {
        let mut column = 0;
        for (index, part) in line.split('`').enumerate() {
            if index % 2 == 1 {
                let at = At {
                    file,
                    line: number,
                    column: u32::try_from(column + 1).unwrap_or(u32::MAX),
                    start: start + column,
                    length: part.len(),
                };
                let text = part.to_owned();
                spans.push(Name { at, text });
            }
            column += part.len() + 1;
        }
        start += line.len();
    }
    spans
}
