//! Cases that had another name: `cases/renamed.yaml`.
//!
//! Other programs follow results by name, so an old name stays known: it selects the case, and
//! each record says what its case was called before.

use std::collections::BTreeMap;

use crate::{
    file::Case,
    node::{Name, Node},
    problem::Problem,
};

/// Old names of case files or rows, each with the new one.
#[derive(Debug, Clone, Default)]
pub struct Renames(BTreeMap<String, (Name, Name)>);

impl Renames {
    /// Reads `OLD: NEW` entries.
    ///
    /// # Errors
    /// When a name is not a text.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let entries = node.entries()?.iter().map(|(old, new)| {
            let text = new.text()?.to_owned();
            let new = Name { at: new.at, text };
            Ok((old.text.clone(), (old.clone(), new)))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// The names that a case had.
    pub(crate) fn former(&self, id: &str) -> Vec<String> {
        let olds = self.0.values().filter_map(|(old, new)| {
            let rest = id.strip_prefix(new.text.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", old.text))
        });
        olds.collect()
    }

    /// Entries that do not lead from a name that is gone to one that is there.
    pub(crate) fn check(&self, cases: &[Case]) -> Vec<Problem> {
        let is_there = |name: &str| cases.iter().any(|case| case.is_in(name));
        let problems = self.0.values().flat_map(|(old, new)| {
            let stays = is_there(&old.text).then(|| {
                let text = format!("the case {} is there: it has no other name", old.text);
                Problem::other(old.at, text)
            });
            let target = match self.0.get(&new.text) {
                Some((_, last)) => {
                    let text = format!("{} has another name itself", new.text);
                    Some(Problem::other(new.at, text).help(format!("name {} here", last.text)))
                }
                None if !is_there(&new.text) => {
                    let known = cases.iter().map(|case| case.file.as_str());
                    Some(Problem::unknown_name(new.at, "case", &new.text, known))
                }
                None => None,
            };
            stays.into_iter().chain(target)
        });
        problems.collect()
    }
}
