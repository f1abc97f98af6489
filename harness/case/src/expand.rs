//! Expands tables and preludes on the tree, before typed reading.

use std::collections::BTreeMap;

use crate::{
    node::{At, Name, Node, Tree},
    problem::Problem,
    steps::plan::{self, PLAN},
};

/// Named sequences of steps, shared by all cases of a folder.
#[derive(Debug, Default, Clone)]
pub struct Preludes(BTreeMap<String, Prelude>);

/// A named sequence of steps.
#[derive(Debug, Clone)]
struct Prelude {
    summary: String,
    steps: Node,
}

/// What a prelude is and which arguments it takes.
#[derive(Debug)]
pub(crate) struct Signature<'a> {
    pub(crate) name: &'a str,
    pub(crate) summary: &'a str,
    pub(crate) parameters: Parameters<'a>,
}

/// The arguments of a prelude.
#[derive(Debug, Default)]
pub(crate) struct Parameters<'a> {
    /// Those that its steps name, each with the paths of the keys that it becomes the value of.
    pub(crate) named: BTreeMap<&'a str, Vec<Vec<&'a str>>>,
    /// Paths of the mappings that `..: arg` adds any argument to.
    pub(crate) spread: Vec<Vec<&'a str>>,
}

/// Maximum nesting of preludes.
const MAX_DEPTH: usize = 8;
/// Keys of `fail_nth` and `together` that have steps.
const STEPS_WITHIN: [&str; 4] = ["unchanged", "after_copy", "undo", "steps"];
/// Key of `together` that has several lists of steps.
const LISTS_WITHIN: &str = "then";

impl Preludes {
    /// Reads `NAME: {summary: .., steps: [..]}` entries, and adds those of the parent folder.
    pub fn read(node: &Node, above: &Self) -> Result<Self, Problem> {
        let mut preludes = above.0.clone();
        for (name, body) in node.entries()? {
            if above.0.contains_key(&name.text) {
                let text = format!("the parent folder already has a prelude `{}`", name.text);
                return Err(Problem::other(name.at, text));
            }
            let mut fields = crate::fields::Fields::of(body, "prelude")?;
            let summary = fields.need("summary")?.text()?.to_owned();
            let steps = fields.need("steps")?.clone();
            preludes.insert(name.text.clone(), Prelude { summary, steps });
            fields.finish()?;
        }
        Ok(Self(preludes))
    }

    /// Adds the preludes of another folder.
    pub(crate) fn extend(&mut self, others: &Self) {
        for (name, prelude) in &others.0 {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), prelude.clone());
            }
        }
    }

    /// Describes each prelude.
    pub(crate) fn signatures(&self) -> impl Iterator<Item = Signature<'_>> {
        self.0.iter().map(|(name, prelude)| Signature {
            name,
            summary: &prelude.summary,
            parameters: Parameters::of(&prelude.steps),
        })
    }

    /// Returns the steps with every `use: NAME` or `use: {NAME: {arg: value}}` replaced.
    ///
    /// # Errors
    /// If a prelude does not exist, lacks an argument, or uses itself.
    pub fn expand(&self, steps: &[Node]) -> Result<Vec<Node>, Problem> {
        self.expand_at(steps, 0)
    }

    fn expand_at(&self, steps: &[Node], depth: usize) -> Result<Vec<Node>, Problem> {
        let mut expanded = Vec::new();
        for step in steps {
            match step.single() {
                Ok((name, body)) if name.text == "use" => {
                    if depth == MAX_DEPTH {
                        let text = format!("preludes are nested more than {MAX_DEPTH} deep");
                        return Err(Problem::other(name.at, text));
                    }
                    expanded.extend(self.expand_at(&self.steps_of(body)?, depth + 1)?);
                }
                Ok((name, body)) if matches!(name.text.as_str(), "in" | "start") => {
                    expanded.push(self.expand_process(step, name, body, depth)?);
                }
                Ok((name, body)) if matches!(name.text.as_str(), "fail_nth" | "together") => {
                    let tree = Tree::Map(vec![(name.clone(), self.expand_within(body, depth)?)]);
                    expanded.push(Node { at: step.at, tree });
                }
                _ => expanded.push(step.clone()),
            }
        }
        Ok(expanded)
    }

    /// `in: {PROCESS: steps}` with the steps expanded.
    fn expand_process(
        &self,
        step: &Node,
        name: &Name,
        body: &Node,
        depth: usize,
    ) -> Result<Node, Problem> {
        let (process, steps) = body.single()?;
        let steps = Node {
            at: steps.at,
            tree: Tree::List(self.expand_at(steps.items(), depth)?),
        };
        let body = Node {
            at: body.at,
            tree: Tree::Map(vec![(process.clone(), steps)]),
        };
        Ok(Node {
            at: step.at,
            tree: Tree::Map(vec![(name.clone(), body)]),
        })
    }

    /// A step that contains lists of steps, with those expanded.
    fn expand_within(&self, body: &Node, depth: usize) -> Result<Node, Problem> {
        let mut entries = body.entries()?.to_vec();
        for (name, value) in &mut entries {
            if STEPS_WITHIN.contains(&name.text.as_str()) {
                value.tree = Tree::List(self.expand_at(value.items(), depth)?);
            }
            if name.text == LISTS_WITHIN {
                let lists = value.items().iter().map(|steps| {
                    let tree = Tree::List(self.expand_at(steps.items(), depth)?);
                    Ok(Node { at: steps.at, tree })
                });
                value.tree = Tree::List(lists.collect::<Result<_, _>>()?);
            }
            if (name.text == PLAN || plan::is_clause(&name.text))
                && matches!(value.tree, Tree::Map(_))
            {
                *value = self.expand_within(value, depth)?;
            }
            // A prelude with a single step can be used as one step.
            if name.text == "step"
                && let [step] = self.expand_at(value.items(), depth)?.as_slice()
            {
                *value = step.clone();
            }
        }
        let tree = Tree::Map(entries);
        Ok(Node { at: body.at, tree })
    }

    fn steps_of(&self, body: &Node) -> Result<Vec<Node>, Problem> {
        let mut steps = Vec::new();
        for item in body.items() {
            let (text, at, arguments) = match &item.tree {
                Tree::Text(text) => (text.as_str(), item.at, None),
                _ => {
                    let (name, arguments) = item.single()?;
                    (name.text.as_str(), name.at, Some(arguments.entries()?))
                }
            };
            let known = || self.0.keys().map(String::as_str);
            let prelude = self
                .0
                .get(text)
                .ok_or_else(|| Problem::unknown_name(at, "prelude", text, known()))?;
            let arguments = arguments.unwrap_or(&[]);
            check_arguments(text, arguments, &prelude.steps)?;
            let values = Row {
                prefix: "arg.",
                entries: arguments,
                complete: true,
                at,
            };
            for step in prelude.steps.items() {
                steps.extend(values.fill(step)?);
            }
        }
        Ok(steps)
    }
}

/// An argument that the prelude does not have is a mistake: it would be ignored.
fn check_arguments(name: &str, given: &[(Name, Node)], steps: &Node) -> Result<(), Problem> {
    if given.is_empty() {
        return Ok(());
    }
    let parameters = Parameters::of(steps);
    if !parameters.spread.is_empty() {
        return Ok(());
    }
    let known = parameters.named;
    let mut unknown = given.iter().map(|(name, _)| name);
    match unknown.find(|name| !known.contains_key(name.text.as_str())) {
        None => Ok(()),
        Some(given) => {
            let none = known.is_empty();
            let known = known.into_keys();
            let problem = Problem::unknown_name(given.at, "argument", &given.text, known);
            Err(match none {
                true => problem.help(format!("the prelude `{name}` takes no arguments")),
                false => problem,
            })
        }
    }
}

impl<'a> Parameters<'a> {
    /// Finds the arguments that steps refer to.
    fn of(steps: &'a Node) -> Self {
        let mut parameters = Self::default();
        parameters.add(steps, &mut Vec::new());
        parameters
    }

    fn add(&mut self, node: &'a Node, path: &mut Vec<&'a str>) {
        match &node.tree {
            Tree::Text(text) => {
                if let Some(name) = text.strip_prefix("arg.") {
                    self.named.entry(name).or_default().push(path.clone());
                } else if text == "arg"
                    && let [mapping @ .., SPREAD] = path.as_slice()
                {
                    self.spread.push(mapping.to_vec());
                }
            }
            Tree::List(items) => items.iter().for_each(|item| self.add(item, path)),
            Tree::Map(entries) => {
                for (name, value) in entries {
                    path.push(&name.text);
                    self.add(value, path);
                    path.pop();
                }
            }
            _ => {}
        }
    }
}

/// Values that replace `row.NAME` (or `arg.NAME`) in a tree.
pub struct Row<'a> {
    /// `row.` or `arg.`.
    pub prefix: &'static str,
    /// The values by their names.
    pub entries: &'a [(Name, Node)],
    /// Whether every reference needs a value. A prelude needs all of its arguments, but a row may
    /// leave out values that have a default.
    pub complete: bool,
    /// Location of the values.
    pub at: At,
}

/// Key that spreads a whole row, or a mapping in it, into a mapping: `..: row`, `..: row.range`.
const SPREAD: &str = "..";

impl Row<'_> {
    /// Returns the node with every reference replaced, or `None` if the whole node is a reference
    /// to a value that the row does not have.
    ///
    /// # Errors
    /// If a spread is malformed, or an item of a list has no value.
    pub fn fill(&self, node: &Node) -> Result<Option<Node>, Problem> {
        let tree = match &node.tree {
            Tree::Text(text) => match self.reference(text) {
                Some(Some(value)) => return Ok(Some(value.clone())),
                Some(None) if self.complete => {
                    let text = format!("no value is given for `{text}`");
                    return Err(Problem::other(self.at, text));
                }
                Some(None) => return Ok(None),
                None => return Ok(Some(node.clone())),
            },
            Tree::List(items) => {
                let items: Result<Vec<_>, _> = items
                    .iter()
                    .filter(|item| !self.uses_nothing(item))
                    .map(|item| self.fill(item))
                    .collect();
                Tree::List(items?.into_iter().flatten().collect())
            }
            Tree::Map(entries) => self.fill_map(entries)?,
            other => other.clone(),
        };
        Ok(Some(Node { at: node.at, tree }))
    }

    /// Whether a step is `use: row.NAME` and the row does not have the value. Such a step is left
    /// out.
    fn uses_nothing(&self, item: &Node) -> bool {
        let step = item.single().ok().filter(|(name, _)| name.text == "use");
        let text = step.and_then(|(_, body)| body.text().ok());
        !self.complete && text.and_then(|text| self.reference(text)) == Some(None)
    }

    fn fill_map(&self, entries: &[(Name, Node)]) -> Result<Tree, Problem> {
        let mut filled: Vec<(Name, Node)> = Vec::new();
        for (name, value) in entries {
            if name.text == SPREAD {
                self.spread(value, &mut filled)?;
            } else if let Some(value) = self.fill(value)? {
                filled.push((name.clone(), value));
            }
        }
        Ok(Tree::Map(filled))
    }

    /// Spreads a row into a mapping. The row's values override those of the step.
    fn spread(&self, value: &Node, filled: &mut Vec<(Name, Node)>) -> Result<(), Problem> {
        let text = value.text()?;
        let entries = match self.reference(text) {
            Some(Some(mapping)) => mapping.entries()?,
            Some(None) => &[],
            None if text == self.prefix.trim_end_matches('.') => self.entries,
            None => {
                // A reference of the other kind, which is replaced later.
                let name = Name {
                    at: value.at,
                    text: SPREAD.to_owned(),
                };
                filled.push((name, value.clone()));
                return Ok(());
            }
        };
        for (name, value) in entries {
            filled.retain(|(known, _)| known.text != name.text);
            filled.push((name.clone(), value.clone()));
        }
        Ok(())
    }

    /// Returns `None` if the text is not a reference, and `Some(None)` if the row does not have the
    /// value.
    fn reference(&self, text: &str) -> Option<Option<&Node>> {
        let name = text.strip_prefix(self.prefix)?;
        Some(
            self.entries
                .iter()
                .find(|(known, _)| known.text == name)
                .map(|(_, node)| node),
        )
    }
}
