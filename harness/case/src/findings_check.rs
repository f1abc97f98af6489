//! Checks that the pages of findings agree with the cases.

use std::collections::BTreeSet;

use crate::{
    Corpus,
    findings::{Finding, Findings},
    node::{At, Name},
    problem::Problem,
};

impl Findings {
    /// Returns the pages that do not agree with the cases: a finding without a case that does not
    /// say why, a case that its page does not name, or a case that does not exist. `elsewhere` are
    /// the findings that are named outside of cases.
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
                (true, Some(_)) => {
                    "a case or a platform names this finding, although it has \
                                    `no_case`"
                }
                _ => "",
            };
            if !help.is_empty() {
                let fix = "name it in a case (`xfail`, `shows`, `except`), or give the reason in \
                     `no_case`";
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
            let text = format!(
                "the case {file} names this finding, but this page does not name \
                                the case"
            );
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

/// Returns the texts between backticks on one line.
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
