//! A YAML document as a tree in which every node has its location.
//!
//! The whole case language is read from this tree, so that tables and preludes can be expanded
//! before typed reading, and every error has a location.

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;

use crate::problem::Problem;

/// A location in one of the files of a [`crate::Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct At {
    /// Index of the file.
    pub file: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// Offset in the text of the file, in bytes.
    pub start: usize,
    /// Length in the text of the file, in bytes.
    pub length: usize,
}

/// A node and its location.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub at: At,
    /// The scalar, list or mapping.
    pub tree: Tree,
}

/// Content of a node.
#[derive(Debug, Clone, PartialEq)]
pub enum Tree {
    /// A null, such as a key without a value.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer; a negative one as its two's complement.
    Int(u64),
    /// Any other scalar.
    Text(String),
    /// A sequence, in the order of the file.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Name, Node)>),
}

/// Key of a mapping and its location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Where it stands.
    pub at: At,
    /// Text of the key.
    pub text: String,
}

impl Tree {
    /// Describes the kind of node, for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl Node {
    /// Parses one document.
    ///
    /// # Errors
    /// If the text is not YAML, or a mapping has a key twice.
    pub fn parse(text: &str, file: usize) -> Result<Self, Problem> {
        let options = serde_yaml::options! {
            strict_booleans: true,
            // The parser's own error about a duplicate key is written for programmers.
            duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::PassThrough,
        };
        let raw = serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options);
        let mut node = raw
            .map(node_of)
            .map_err(|error| Problem::yaml(&error, file))?;
        node.set_file(file);
        Ok(node)
    }

    fn set_file(&mut self, file: usize) {
        self.at.file = file;
        match &mut self.tree {
            Tree::List(items) => items.iter_mut().for_each(|item| item.set_file(file)),
            Tree::Map(entries) => {
                for (name, value) in entries {
                    name.at.file = file;
                    value.set_file(file);
                }
            }
            _ => {}
        }
    }

    /// Returns the text, if it is one.
    pub fn text(&self) -> Result<&str, Problem> {
        match &self.tree {
            Tree::Text(text) => Ok(text),
            _ => Err(self.not("a text")),
        }
    }

    /// Returns the number, if it is one.
    pub fn number(&self) -> Result<u64, Problem> {
        match &self.tree {
            Tree::Int(number) => Ok(*number),
            _ => Err(self.not("a number")),
        }
    }

    /// The items of a list; a single node counts as a list of one.
    pub fn items(&self) -> &[Node] {
        match &self.tree {
            Tree::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self) -> Result<&[(Name, Node)], Problem> {
        match &self.tree {
            Tree::Map(entries) => Ok(entries),
            _ => Err(self.not("a mapping")),
        }
    }

    /// Returns the only entry of a mapping, the form of a step.
    pub fn single(&self) -> Result<(&Name, &Node), Problem> {
        match self.entries()? {
            [(name, value)] => Ok((name, value)),
            entries => {
                let found = format!("a mapping with {} entries", entries.len());
                Err(Problem::expected(
                    self.at,
                    "a mapping with one entry",
                    &found,
                ))
            }
        }
    }

    /// Returns the error that something else was expected here.
    pub fn not(&self, expected: &str) -> Problem {
        Problem::expected(self.at, expected, self.tree.kind())
    }
}

fn node_of(raw: Spanned<Raw>) -> Node {
    Node {
        at: at_of(raw.referenced),
        tree: raw.value.0,
    }
}

/// Converts a location of the YAML parser; the file is set later.
pub(crate) fn at_of(location: serde_yaml::Location) -> At {
    let span = location.span();
    At {
        file: 0,
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
        start: span
            .byte_offset()
            .map_or(0, |offset| usize::try_from(offset).unwrap_or(0)),
        length: span
            .byte_len()
            .map_or(0, |length| usize::try_from(length).unwrap_or(0)),
    }
}

struct Raw(Tree);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor).map(Raw)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Tree;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a YAML node")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Int(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Int(value as u64))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Tree, E> {
        Err(E::custom(format!(
            "{value} is not an integer; quote it if it is meant as text"
        )))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element::<Spanned<Raw>>()? {
            items.push(node_of(item));
        }
        Ok(Tree::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Tree, A::Error> {
        let mut entries: Vec<(Name, Node)> = Vec::new();
        while let Some(key) = from.next_key::<Spanned<String>>()? {
            if entries.iter().any(|(name, _)| name.text == key.value) {
                let place = key.referenced;
                return Err(A::Error::custom(format!(
                    "the key `{}` appears twice at line {}, column {}",
                    key.value,
                    place.line(),
                    place.column()
                )));
            }
            let name = Name {
                at: at_of(key.referenced),
                text: key.value,
            };
            entries.push((name, node_of(from.next_value()?)));
        }
        Ok(Tree::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_node_knows_its_place() {
        let node = Node::parse("steps:\n  - open: {iommu: /dev/iommu}\n  - x: 0x10\n", 3).unwrap();
        let (name, steps) = node.single().unwrap();
        assert_eq!((name.text.as_str(), name.at.line), ("steps", 1));
        let (open, body) = steps.items()[0].single().unwrap();
        assert_eq!((open.at.line, open.at.column, open.at.file), (2, 5, 3));
        assert_eq!(body.entries().unwrap()[0].1.text().unwrap(), "/dev/iommu");
        assert_eq!(steps.items()[1].single().unwrap().1.number().unwrap(), 16);
    }

    #[test]
    fn large_numbers_keep_their_bits() {
        let node = Node::parse("[0xfffffffffffff000, -1, 18446744073709551615]", 0).unwrap();
        let numbers: Vec<_> = node.items().iter().map(|n| n.number().unwrap()).collect();
        assert_eq!(numbers, [0xffff_ffff_ffff_f000, u64::MAX, u64::MAX]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,120}") {
            let _ = Node::parse(&text, 0);
        }

        #[test]
        fn nor_does_yaml_punctuation(text in "[\\[\\]{}:,&*#|> \n\\-a0\"'$]{0,60}") {
            let _ = Node::parse(&text, 0);
        }
    }
}
