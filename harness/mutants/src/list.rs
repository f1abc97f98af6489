//! The reviewed list: `vm-images/mutants.yaml`.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use case::{Corpus, Fields, Node, Problem, Sources};
use runner::{options::vm_images_folder, platform};
use vm_images::Flavour;

use crate::{
    edit,
    edit::Edit,
    mutant::{Mutant, is_meant},
    source,
};

/// One entry of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, which never changes.
    pub id: String,
    /// Its area, by which the summary counts.
    pub area: String,
    /// The file, from the top of the kernel's tree.
    pub file: String,
    /// The function.
    pub function: String,
    /// The rule that it breaks.
    pub rule: String,
    /// Clauses of the protocol that the rule belongs to.
    pub clauses: Vec<String>,
    /// Text that occurs exactly once in the function.
    pub text: String,
    /// The replacement.
    pub replacement: String,
    /// Why no case can kill it.
    pub survives: Option<String>,
    /// The change that mended it in Linux, if it is a mistake that Linux had.
    pub source: Option<String>,
    /// The flavour of the kernel that shows it; by default any.
    pub flavour: Option<String>,
    /// The platform that shows it; by default any.
    pub platform: Option<String>,
}

/// The names that an entry may use.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Clauses of the protocol.
    pub clauses: Vec<String>,
    /// Flavours of the kernel.
    pub flavours: Vec<String>,
    /// Platforms.
    pub platforms: Vec<String>,
}

impl Known {
    /// Returns the names of the project.
    pub fn of(corpus: &Corpus) -> Self {
        let vm_images = vm_images_folder();
        Self {
            clauses: corpus.clauses.iter().map(|it| it.id.clone()).collect(),
            flavours: Flavour::names(&vm_images),
            platforms: platform::names(&vm_images),
        }
    }
}

/// Why the list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// It cannot be read.
    #[error("reading the list of mutants {}: {source}", path.display())]
    File {
        /// The list.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has mistakes; each is rendered with its location.
    #[error("{}", .0.join("\n\n"))]
    Problems(Vec<String>),
}

/// Why an entry does not apply to a source.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Misfit {
    /// The file does not exist or cannot be read.
    #[error(
        "reading {file} of the mutant `{id}` in the kernel's tree: {why}; correct its entry \
             for this kernel"
    )]
    File {
        /// The mutant.
        id: String,
        /// The file.
        file: String,
        /// What the system said.
        why: String,
    },
    /// The function does not exist exactly once.
    #[error(
        "{file} has {count} definitions of `{function}`, but the mutant `{id}` needs exactly one; \
         correct its entry for this kernel"
    )]
    Function {
        /// The mutant.
        id: String,
        /// The file.
        file: String,
        /// The function.
        function: String,
        /// Number of definitions.
        count: usize,
    },
    /// The text does not occur exactly once.
    #[error(
        "{file}: the text of the mutant `{id}` occurs {count} times in `{function}` instead of \
         once; correct its entry for this kernel"
    )]
    Text {
        /// The mutant.
        id: String,
        /// The file.
        file: String,
        /// The function.
        function: String,
        /// Number of occurrences.
        count: usize,
    },
}

/// Reads the list.
pub fn read(path: &Path, known: &Known, colour: bool) -> Result<Vec<Entry>, ListError> {
    let text = fs::read_to_string(path).map_err(|source| ListError::File {
        path: path.to_owned(),
        source,
    })?;
    let mut sources = Sources::default();
    let file = sources.add(path.to_owned(), text);
    parse(sources.text(file), file, known).map_err(|problems| {
        let render = |problem: &Problem| sources.render(problem, colour);
        ListError::Problems(problems.iter().map(render).collect())
    })
}

fn parse(text: &str, file: usize, known: &Known) -> Result<Vec<Entry>, Vec<Problem>> {
    let node = Node::parse(text, file).map_err(|problem| vec![problem])?;
    let mut ids = BTreeSet::new();
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    for item in node.items() {
        match entry(item, known) {
            Ok(entry) if !ids.insert(entry.id.clone()) => {
                let twice = format!("another mutant has the id {}", entry.id);
                problems.push(Problem::other(item.at, twice));
            }
            Ok(entry) => entries.push(entry),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() {
        Ok(entries)
    } else {
        Err(problems)
    }
}

fn entry(node: &Node, known: &Known) -> Result<Entry, Problem> {
    let mut fields = Fields::of(node, "mutant")?;
    let mut need = |key: &str| -> Result<String, Problem> {
        let node = fields.need(key)?;
        let text = node.text()?.trim();
        if text.is_empty() {
            return Err(Problem::expected(node.at, "a text", "an empty one"));
        }
        Ok(text.to_owned())
    };
    let (id, area, rule) = (need("id")?, need("area")?, need("rule")?);
    let (file, function, text) = (need("file")?, need("function")?, need("text")?);
    let replacement = fields.need("replacement")?.text()?.trim().to_owned();
    let survives = fields.text("survives")?.map(|why| why.trim().to_owned());
    let source = fields.text("source")?.map(|fix| fix.trim().to_owned());
    let flavour = name(fields.take("flavour"), "flavour", &known.flavours)?;
    let platform = name(fields.take("platform"), "platform", &known.platforms)?;
    let clauses = clauses(fields.take("clauses"), &known.clauses)?;
    fields.finish()?;
    Ok(Entry {
        id,
        area,
        file,
        function,
        rule,
        clauses,
        text,
        replacement,
        survives,
        source,
        flavour,
        platform,
    })
}

fn clauses(node: Option<&Node>, known: &[String]) -> Result<Vec<String>, Problem> {
    let items = node.map_or(&[][..], Node::items);
    let read = |item: &Node| one_of(item, "clause", known);
    items.iter().map(read).collect()
}

fn name(node: Option<&Node>, what: &str, known: &[String]) -> Result<Option<String>, Problem> {
    node.map(|node| one_of(node, what, known)).transpose()
}

fn one_of(node: &Node, what: &str, known: &[String]) -> Result<String, Problem> {
    let text = node.text()?;
    let names = || known.iter().map(String::as_str);
    if names().any(|name| name == text) {
        Ok(text.to_owned())
    } else {
        Err(Problem::unknown_name(node.at, what, text, names()))
    }
}

impl Entry {
    /// Whether these filters select it.
    pub fn is_meant(&self, filters: &[String]) -> bool {
        is_meant(&self.names(), filters)
    }

    /// The names that a filter can be a part of.
    pub fn names(&self) -> Vec<&str> {
        let always = [&self.id, &self.area, &self.file, &self.function];
        let needs = self.flavour.iter().chain(&self.platform);
        always
            .into_iter()
            .chain(needs)
            .map(String::as_str)
            .collect()
    }

    /// Whether a machine with this flavour of the kernel and this platform shows it.
    pub fn shows_on(&self, flavour: &str, platform: &str) -> bool {
        let fits = |need: &Option<String>, has: &str| need.as_ref().is_none_or(|need| need == has);
        fits(&self.flavour, flavour) && fits(&self.platform, platform)
    }

    /// The options of the command that its flavour and its platform need.
    pub fn options(&self) -> String {
        let flavour = self.flavour.iter().map(|name| format!("--flavour {name}"));
        let platform = self
            .platform
            .iter()
            .map(|name| format!("--platform {name}"));
        flavour.chain(platform).collect::<Vec<_>>().join(" ")
    }

    /// Returns its mutant for a kernel tree.
    pub fn in_tree(&self, tree: &Path) -> Result<Mutant, Misfit> {
        let source = fs::read_to_string(tree.join(&self.file)).map_err(|error| Misfit::File {
            id: self.id.clone(),
            file: self.file.clone(),
            why: error.to_string(),
        })?;
        Ok(Mutant {
            edit: self.locate(&source)?,
            id: self.id.clone(),
            area: self.area.clone(),
            file: self.file.clone(),
            function: self.function.clone(),
            rule: self.rule.clone(),
            clauses: self.clauses.clone(),
            survives: self.survives.clone(),
            source: self.source.clone(),
        })
    }

    fn locate(&self, source: &str) -> Result<Edit, Misfit> {
        let functions = source::find(source, &self.function);
        let [function] = functions.as_slice() else {
            return Err(Misfit::Function {
                id: self.id.clone(),
                file: self.file.clone(),
                function: self.function.clone(),
                count: functions.len(),
            });
        };
        let mut found = edit::occurrences(source, function.body(), &self.text);
        match (found.pop(), found.len()) {
            (Some(range), 0) => Ok(Edit {
                range,
                replacement: self.replacement.clone(),
            }),
            (last, before) => Err(Misfit::Text {
                id: self.id.clone(),
                file: self.file.clone(),
                function: self.function.clone(),
                count: before + usize::from(last.is_some()),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const LIST: &str = "\
- id: a
  area: arguments
  file: d/f.c
  function: run
  rule: It is refused
  clauses: [S1.0]
  text: |-
    if (flags)
      return -EINVAL;
  replacement: ''
";
    const SOURCE: &str =
        "int run(int flags)\n{\n\tif (flags)\n\t\treturn -EINVAL;\n\treturn 0;\n}\n";

    fn known() -> Known {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect();
        Known {
            clauses: names("S1.0"),
            flavours: names("default debug"),
            platforms: names("intel virtio"),
        }
    }

    fn one(text: &str) -> Result<Vec<Entry>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mutants.yaml");
        fs::write(&path, text).unwrap();
        let place = format!("{}/", folder.path().display());
        read(&path, &known(), false).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn reads_an_entry_and_finds_its_text() {
        let entry = one(LIST).unwrap().remove(0);
        let edit = entry.locate(SOURCE).unwrap();
        assert_eq!(
            edit.apply(SOURCE),
            "int run(int flags)\n{\n\t\n\treturn 0;\n}\n"
        );
    }

    #[rstest]
    #[case::unknown_key("unknown_key", format!("{LIST}  rules: x\n"))]
    #[case::missing("missing", LIST.replace("  area: arguments\n", ""))]
    #[case::unknown_clause("unknown_clause", LIST.replace("S1.0", "S9.9"))]
    #[case::unknown_flavour("unknown_flavour", format!("{LIST}  flavour: debgu\n"))]
    #[case::unknown_platform("unknown_platform", format!("{LIST}  platform: intle\n"))]
    #[case::empty_text("empty_text", LIST.replace("d/f.c", "''"))]
    #[case::twice("twice", format!("{LIST}{LIST}"))]
    #[case::no_list("no_list", "a: [".to_owned())]
    fn a_mistake_has_a_place(#[case] name: &str, #[case] text: String) {
        insta::assert_snapshot!(name, one(&text).unwrap_err());
    }

    #[rstest]
    #[case("no such function", "run", "walk")]
    #[case("no such text", "-EINVAL", "-EPERM")]
    #[case("twice", "\treturn 0", "\tif (flags)\n\t\treturn -EINVAL;\n\treturn 0")]
    fn a_text_that_does_not_fit_names_the_file(
        #[case] name: &str,
        #[case] from: &str,
        #[case] to: &str,
    ) {
        let entry = one(LIST).unwrap().remove(0);
        let error = entry.locate(&SOURCE.replace(from, to)).unwrap_err();
        assert!(error.to_string().contains("d/f.c"), "{name}: {error}");
    }

    #[rstest]
    #[case("", "debug", "virtio", true)]
    #[case("  flavour: debug\n", "debug", "virtio", true)]
    #[case("  flavour: debug\n", "default", "virtio", false)]
    #[case("  flavour: debug\n  platform: intel\n", "debug", "virtio", false)]
    fn an_entry_may_need_a_machine(
        #[case] more: &str,
        #[case] flavour: &str,
        #[case] platform: &str,
        #[case] want: bool,
    ) {
        let entry = one(&format!("{LIST}{more}")).unwrap().remove(0);
        assert_eq!(entry.shows_on(flavour, platform), want);
    }

    #[test]
    fn what_an_entry_needs_selects_it_and_is_said() {
        let text = format!("{LIST}  flavour: debug\n  platform: intel\n");
        let entry = one(&text).unwrap().remove(0);
        assert!(entry.is_meant(&["debug".to_owned()]));
        assert_eq!(entry.options(), "--flavour debug --platform intel");
    }

    #[test]
    fn the_list_of_the_project_is_right() {
        let corpus = runner::lab::load_corpus(&runner::options::cases_folder()).unwrap();
        let path = vm_images_folder().join("mutants.yaml");
        let entries = read(&path, &Known::of(&corpus), false).unwrap();
        let of_history = entries.iter().filter(|entry| entry.area == "history");
        assert!(entries.len() >= 70);
        assert!(of_history.clone().count() >= 71);
        assert!(of_history.clone().all(|entry| entry.source.is_some()));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,120}") {
            let _ = parse(&text, 0, &known());
        }
    }
}
