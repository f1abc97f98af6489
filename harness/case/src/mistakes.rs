//! Collects the mistakes of a file, so that its author sees all of them at once.

use crate::problem::Problem;

/// The mistakes found so far.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<Problem>);

impl Mistakes {
    /// Returns what was read, or remembers why it could not be.
    pub fn keep<T>(&mut self, read: Result<T, Problem>) -> Option<T> {
        read.map_err(|problem| self.add(problem)).ok()
    }

    /// Adds a mistake. The steps of a table are read for each row, so the same one can come again.
    pub fn add(&mut self, problem: Problem) {
        if !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    /// Adds those of a part.
    pub fn extend(&mut self, part: Self) {
        part.0.into_iter().for_each(|problem| self.add(problem));
    }

    /// Whether there is none so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the value, or the mistakes in the order of the file.
    pub fn unless<T>(mut self, value: T) -> Result<T, Vec<Problem>> {
        self.0.sort_by_key(|problem| problem.at);
        match self.0.is_empty() {
            true => Ok(value),
            false => Err(self.0),
        }
    }
}
