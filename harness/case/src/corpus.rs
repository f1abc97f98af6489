//! All cases of a directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    clauses::{self, Clause},
    corpus_error::{CorpusError, none_of},
    expand::Preludes,
    file::{self, Case},
    findings::Findings,
    folder::{self, Folder},
    node::Node,
    problem::{Problem, Sources},
    renames::Renames,
};

/// The corpus: all cases and clauses.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// Cases in the order of their ids' files.
    pub cases: Vec<Case>,
    /// Clauses in the order of their file.
    pub clauses: Vec<Clause>,
    /// The known deviations that cases may name.
    pub findings: Findings,
    /// Former names of cases.
    pub renames: Renames,
    /// The preludes of all folders.
    pub preludes: Preludes,
    /// The files they came from.
    pub sources: Sources,
}

const CLAUSES: &str = "clauses.yaml";
const PRELUDES: &str = "preludes.yaml";
const FOLDER: &str = "folder.yaml";
const RENAMED: &str = "renamed.yaml";
/// Files in folders of cases that are not case files.
const OTHERS: [&str; 4] = [CLAUSES, PRELUDES, FOLDER, RENAMED];

impl Corpus {
    /// Reads all `*.yaml` files below `root`. Cases may name these findings; `colour` is whether
    /// errors are rendered in colour.
    pub fn load(root: &Path, findings: Findings, colour: bool) -> Result<Self, CorpusError> {
        let corpus = Self::load_files(root, yaml_files(root)?, findings, colour)?;
        let problems = corpus.renames.check(&corpus.cases);
        none_of(&problems, &corpus.sources, colour)?;
        Ok(corpus)
    }

    /// Reads one file, which need not be below `root`, with the clauses and preludes of `root`.
    pub fn load_file(
        root: &Path,
        file: &Path,
        findings: Findings,
        colour: bool,
    ) -> Result<Self, CorpusError> {
        Self::load_files(root, vec![file.to_owned()], findings, colour)
    }

    fn load_files(
        root: &Path,
        files: Vec<PathBuf>,
        findings: Findings,
        colour: bool,
    ) -> Result<Self, CorpusError> {
        let mut reader = Reader {
            sources: Sources::default(),
            problems: Vec::new(),
        };
        let clauses = reader
            .part(root, CLAUSES, clauses::read)?
            .unwrap_or_default();
        let renames = reader.part(root, RENAMED, Renames::read)?;
        let folders = reader.folders(root, &files)?;
        let none = Folder::default();
        // Without these files, every case would have errors.
        reader.give_up(colour)?;
        let mut cases = Vec::new();
        for path in files {
            let stem = stem(root, &path);
            let folder = path.parent().and_then(|folder| folders.get(folder));
            let folder = folder.unwrap_or(&none);
            let read = reader.file(&path, |node| file::read(&stem, node, folder, &findings))?;
            cases.extend(read.unwrap_or_default());
        }
        reader.check_clauses(&cases, &clauses);
        reader.check_ids(&cases);
        reader.give_up(colour)?;
        let renames = renames.unwrap_or_default();
        for case in &mut cases {
            case.former = renames.former(&case.id);
        }
        if cases.is_empty() {
            return Err(CorpusError::Empty(root.to_owned()));
        }
        Ok(Self {
            cases,
            clauses,
            findings,
            renames,
            preludes: all_preludes(&folders),
            sources: reader.sources,
        })
    }

    /// Returns the files with a case that names a finding.
    pub fn files_with(&self, finding: &str) -> BTreeSet<&str> {
        let names = |case: &&Case| case.findings().any(|name| name == finding);
        let cases = self.cases.iter().filter(names);
        cases.map(|case| case.file.as_str()).collect()
    }
}

/// Returns the start of the ids of a file's cases: its path below the corpus, or its name.
fn stem(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).ok();
    let own = below.or_else(|| path.file_name().map(Path::new));
    let own = own.unwrap_or(path).with_extension("");
    own.to_string_lossy().into_owned()
}

fn all_preludes(folders: &BTreeMap<PathBuf, Folder>) -> Preludes {
    let mut all = Preludes::default();
    for folder in folders.values() {
        all.extend(&folder.preludes);
    }
    all
}

struct Reader {
    sources: Sources,
    problems: Vec<Problem>,
}

impl Reader {
    /// Returns an error with the problems so far, if there are any.
    fn give_up(&self, colour: bool) -> Result<(), CorpusError> {
        none_of(&self.problems, &self.sources, colour)
    }

    /// Reads what the cases of each folder share: its needs, its own preludes and those of the top
    /// folder.
    fn folders(
        &mut self,
        root: &Path,
        files: &[PathBuf],
    ) -> Result<BTreeMap<PathBuf, Folder>, CorpusError> {
        let none = Preludes::default();
        let top = self.part(root, PRELUDES, |node| Preludes::read(node, &none))?;
        let top = Folder {
            preludes: top.unwrap_or_default(),
            ..Folder::default()
        };
        let mut folders = BTreeMap::from([(root.to_owned(), top.clone())]);
        for path in files.iter().filter_map(|path| path.parent()) {
            if !folders.contains_key(path) {
                let above = &top.preludes;
                let own = self.part(path, PRELUDES, |node| Preludes::read(node, above))?;
                let needs = self.part(path, FOLDER, folder::read_needs)?;
                let folder = Folder {
                    preludes: own.unwrap_or_else(|| above.clone()),
                    needs: needs.unwrap_or_default(),
                };
                folders.insert(path.to_owned(), folder);
            }
        }
        Ok(folders)
    }

    /// Reads a file that may be missing.
    fn part<T>(
        &mut self,
        root: &Path,
        name: &str,
        read: impl Fn(&Node) -> Result<T, Problem>,
    ) -> Result<Option<T>, CorpusError> {
        let path = root.join(name);
        if path.exists() {
            self.file(&path, |node| read(node).map_err(|problem| vec![problem]))
        } else {
            Ok(None)
        }
    }

    /// Reads a file. Returns `None` if it has problems, which are recorded.
    fn file<T>(
        &mut self,
        path: &Path,
        read: impl Fn(&Node) -> Result<T, Vec<Problem>>,
    ) -> Result<Option<T>, CorpusError> {
        let bytes = fs::read(path).map_err(|error| CorpusError::Io {
            path: path.to_owned(),
            error,
        })?;
        let (text, malformed) = decode(bytes);
        let file = self.sources.add(path.to_owned(), text);
        let node = match malformed {
            Some(offset) => Err(self.sources.not_utf8(file, offset)),
            None => Node::parse(self.sources.text(file), file),
        };
        let node = node.map_err(|problem| vec![problem]);
        match node.and_then(|node| read(&node)) {
            Ok(read) => Ok(Some(read)),
            Err(problems) => {
                self.problems.extend(problems);
                Ok(None)
            }
        }
    }

    fn check_clauses(&mut self, cases: &[Case], clauses: &[Clause]) {
        let known = || clauses.iter().map(|clause| clause.id.as_str());
        for case in cases {
            let planned = case.planned();
            let named = case.clauses().chain(planned.iter().map(String::as_str));
            for id in named.filter(|id| !known().any(|known| known == *id)) {
                let problem = Problem::unknown_name(case.at, "clause", id, known());
                self.problems.push(problem);
            }
        }
    }

    /// Checks that ids are unique. Rows whose names differ only in punctuation would share an id.
    fn check_ids(&mut self, cases: &[Case]) {
        let mut seen = BTreeSet::new();
        for case in cases.iter().filter(|case| !seen.insert(case.id.as_str())) {
            let text = format!("another case has the id {}", case.id);
            self.problems.push(Problem::other(case.at, text));
        }
    }
}

/// Returns the text of a file, and the offset of the first byte that is not UTF-8.
fn decode(bytes: Vec<u8>) -> (String, Option<usize>) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, None),
        Err(error) => {
            let offset = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            (text, Some(offset))
        }
    }
}

fn yaml_files(root: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| {
            let path = folder.clone();
            match folder == root {
                true => CorpusError::Folder { path, error },
                false => CorpusError::Io { path, error },
            }
        };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".yaml") && !OTHERS.contains(&name.as_str()) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}
