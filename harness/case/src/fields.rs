//! Reads a mapping key by key. Keys that were not read are unknown.

use crate::{
    node::{At, Name, Node, Tree},
    problem::Problem,
};

/// A mapping whose keys are taken one after the other.
pub struct Fields<'a> {
    at: At,
    what: String,
    left: Vec<(&'a Name, &'a Node)>,
    asked: Vec<String>,
}

impl<'a> Fields<'a> {
    /// Starts to read a mapping; `what` names it in error messages.
    ///
    /// # Errors
    /// If the node is not a mapping.
    pub fn of(node: &'a Node, what: impl Into<String>) -> Result<Self, Problem> {
        let left = node
            .entries()?
            .iter()
            .map(|(name, value)| (name, value))
            .collect();
        Ok(Self {
            at: node.at,
            what: what.into(),
            left,
            asked: Vec::new(),
        })
    }

    /// Returns the location of the mapping.
    pub fn at(&self) -> At {
        self.at
    }

    /// Returns the value of a key, if it is present.
    pub fn take(&mut self, key: &str) -> Option<&'a Node> {
        self.asked.push(key.to_owned());
        let index = self.left.iter().position(|(name, _)| name.text == key)?;
        Some(self.left.remove(index).1)
    }

    /// Returns the value of a required key.
    pub fn need(&mut self, key: &str) -> Result<&'a Node, Problem> {
        let missing = Problem::missing(self.at, key, &self.what);
        self.take(key).ok_or(missing)
    }

    /// Returns the error that a required key is missing.
    pub fn missing(&self, key: &str) -> Problem {
        Problem::missing(self.at, key, &self.what)
    }

    /// A text that may be missing.
    pub fn text(&mut self, key: &str) -> Result<Option<&'a str>, Problem> {
        self.take(key).map(Node::text).transpose()
    }

    /// A number that may be missing.
    pub fn number(&mut self, key: &str) -> Result<Option<u64>, Problem> {
        self.take(key).map(Node::number).transpose()
    }

    /// Reads a boolean; a missing one is false.
    pub fn flag(&mut self, key: &str) -> Result<bool, Problem> {
        match self.take(key).map(|node| (&node.tree, node)) {
            None | Some((Tree::Bool(false), _)) => Ok(false),
            Some((Tree::Bool(true), _)) => Ok(true),
            Some((_, node)) => Err(node.not("true or false")),
        }
    }

    /// Returns the entries that were not read, and the known keys.
    pub fn rest(self) -> (Vec<(&'a Name, &'a Node)>, Vec<String>) {
        (self.left, self.asked)
    }

    /// Returns an error for each key that was not read.
    pub fn unknown(&self) -> Vec<Problem> {
        let known = || self.asked.iter().map(String::as_str);
        let left = self.left.iter();
        left.map(|(name, _)| Problem::unknown_key(name.at, &name.text, &self.what, known()))
            .collect()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// If a key was not read.
    pub fn finish(self) -> Result<(), Problem> {
        self.unknown().into_iter().next().map_or(Ok(()), Err)
    }
}
