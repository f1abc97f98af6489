//! Expands tables and preludes on the tree, before typed reading.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    node::{At, Name, Node, Tree},
    problem::Problem,
};

/// Named sequences of steps, shared by all cases of a folder.
#[derive(Debug, Default, Clone)]
pub struct Preludes(BTreeMap<String, Node>);

/// Maximum nesting of preludes.
const MAX_DEPTH: usize = 8;
/// Keys of `fail_nth` and `together` that have steps.
const STEPS_WITHIN: [&str; 4] = ["unchanged", "after_copy", "undo", "steps"];

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
            fields.need("summary")?.text()?;
            preludes.insert(name.text.clone(), fields.need("steps")?.clone());
            fields.finish()?;
        }
        Ok(Self(preludes))
    }

    /// Adds the preludes of another folder.
    pub(crate) fn extend(&mut self, others: &Self) {
        for (name, steps) in &others.0 {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), steps.clone());
            }
        }
    }

    /// Returns the name of each prelude with its arguments, or with `None` if it takes any.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = (&str, Option<BTreeSet<&str>>)> {
        let preludes = self.0.iter();
        preludes.map(|(name, steps)| (name.as_str(), arguments_of(steps)))
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
            check_arguments(arguments, prelude)?;
            let values = Row {
                prefix: "arg.",
                entries: arguments,
                complete: true,
                at,
            };
            for step in prelude.items() {
                steps.extend(values.fill(step)?);
            }
        }
        Ok(steps)
    }
}

/// An argument that the prelude does not have is a mistake: it would be ignored.
fn check_arguments(given: &[(Name, Node)], prelude: &Node) -> Result<(), Problem> {
    if given.is_empty() {
        return Ok(());
    }
    let Some(known) = arguments_of(prelude) else {
        return Ok(());
    };
    let mut unknown = given.iter().map(|(name, _)| name);
    match unknown.find(|name| !known.contains(name.text.as_str())) {
        Some(name) => {
            let known = known.iter().copied();
            Err(Problem::unknown_name(
                name.at, "argument", &name.text, known,
            ))
        }
        None => Ok(()),
    }
}

/// Returns the arguments that steps refer to, or `None` if `..: arg` takes whatever is given.
fn arguments_of(steps: &Node) -> Option<BTreeSet<&str>> {
    let mut texts = Vec::new();
    texts_within(steps, &mut texts);
    let any = texts.contains(&"arg");
    let names = texts
        .into_iter()
        .filter_map(|text| text.strip_prefix("arg."));
    (!any).then(|| names.collect())
}

fn texts_within<'a>(node: &'a Node, texts: &mut Vec<&'a str>) {
    match &node.tree {
        Tree::Text(text) => texts.push(text),
        Tree::List(items) => items.iter().for_each(|item| texts_within(item, texts)),
        Tree::Map(entries) => entries
            .iter()
            .for_each(|(_, value)| texts_within(value, texts)),
        _ => {}
    }
}

/// Values that replace `row.NAME` (or `arg.NAME`) in a tree.
pub struct Row<'a> {
    /// `row.` or `arg.`.
    pub prefix: &'static str,
    /// The values.
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
