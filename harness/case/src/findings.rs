//! Known deviations: the pages of `results/findings`, one for each.
//!
//! A page begins with front matter in YAML. Its heading is the title, and every page has the same
//! sections.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use uapi::Series;

use crate::{
    corpus_error::{CorpusError, none_of},
    fields::Fields,
    needs::read_series,
    node::{At, Node},
    problem::{Problem, Sources},
};

/// A known deviation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Location of its page.
    pub at: At,
    /// The deviation in one sentence.
    pub title: String,
    /// The project at fault.
    pub of: Project,
    /// Platforms on which it was seen, if that matters.
    pub platforms: Vec<String>,
    /// Versions with which it was seen.
    pub seen: String,
    /// The first release that has it, if known.
    pub since: Option<Series>,
    /// Why no case shows it.
    pub no_case: Option<String>,
    /// Parts of its complaint in the kernel log, if that may come in any case: which case closes a
    /// circle of locks depends on those that the guest ran before.
    pub complaint: Vec<String>,
}

impl Finding {
    /// Whether a complaint with all its lines is the one of this finding.
    pub fn explains(&self, complaint: &str) -> bool {
        let parts = &self.complaint;
        !parts.is_empty() && parts.iter().all(|part| complaint.contains(part))
    }
}

/// A project that can be at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Project {
    /// The kernel under test.
    Kernel,
    /// QEMU, which emulates the machine.
    Qemu,
    /// This suite itself.
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
/// Line before and after the front matter.
const RULE: &str = "---\n";
/// The index, which is not a page.
const INDEX: &str = "README.md";

/// All known deviations by name.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    pages: BTreeMap<String, Finding>,
    pub(crate) sources: Sources,
}

impl Findings {
    /// Reads the pages of a folder; `colour` is whether errors are rendered in colour.
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

    /// Returns the finding of this name.
    pub fn get(&self, name: &str) -> Option<&Finding> {
        self.pages.get(name)
    }

    /// Returns all findings with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let pages = self.pages.iter();
        pages.map(|(name, finding)| (name.as_str(), finding))
    }

    /// Returns the finding whose complaint this is.
    pub fn explaining(&self, complaint: &str) -> Option<Known> {
        let (name, finding) = self.iter().find(|(_, it)| it.explains(complaint))?;
        Some(Known {
            name: name.to_owned(),
            reason: reason(name, &finding.title),
        })
    }

    /// Returns the finding with this name. The error has the location of the name.
    pub fn named(&self, at: At, name: &str) -> Result<&Finding, Problem> {
        let known = || self.pages.keys().map(String::as_str);
        self.get(name).ok_or_else(|| {
            let problem = Problem::unknown_name(at, "finding", name, known());
            match problem.help {
                Some(_) => problem,
                None => problem.help("the findings are the pages of results/findings, without .md"),
            }
        })
    }

    /// Reads the name of a finding and returns it with its title.
    pub(crate) fn read(&self, node: &Node) -> Result<Known, Problem> {
        let name = node.text()?;
        let title = &self.named(node.at, name)?.title;
        Ok(Known {
            name: name.to_owned(),
            reason: reason(name, title),
        })
    }
}

fn reason(name: &str, title: &str) -> String {
    format!("{name}: {title}")
}

/// A finding as the reason of an XFAIL: one that a case names, or whose complaint came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Known {
    /// Its name: that of its page without `.md`.
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
            "a page has to begin with front matter between two lines `---`",
        ));
    };
    // Include the first line, so that locations are right.
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
    let complaint = texts(fields.take("complaint"))?;
    fields.finish()?;
    Ok(Finding {
        at,
        title: title(body, at)?,
        of,
        platforms,
        seen,
        since,
        no_case,
        complaint,
    })
}

/// Returns the heading, after checking the sections.
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
        let text = format!("the sections of a page have to be {}", SECTIONS.join(", "));
        return Err(Problem::other(at, text));
    }
    match with("# ").collect::<Vec<_>>().as_slice() {
        [title] => Ok((*title).to_owned()),
        _ => Err(Problem::other(
            at,
            "a page has to have exactly one heading `# `, its title",
        )),
    }
}
