//! Renamed cases: `cases/renamed.yaml`.
//!
//! Other programs track results by name, so old names stay known: they select the case, and each
//! record has the former names of its case.

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
    /// If a name is not text.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let entries = node.entries()?.iter().map(|(old, new)| {
            let text = new.text()?.to_owned();
            let new = Name { at: new.at, text };
            Ok((old.text.clone(), (old.clone(), new)))
        });
        entries.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the former names of a case. A row and its file can each have an entry, so an old
    /// name may have an older one; it cannot have more, because an entry leads to a name that is
    /// not renamed.
    pub(crate) fn former(&self, id: &str) -> Vec<String> {
        let mut former = self.renamed_to(id);
        let older = former.iter().flat_map(|old| self.renamed_to(old));
        for name in older.collect::<Vec<_>>() {
            if name != id && !former.contains(&name) {
                former.push(name);
            }
        }
        former
    }

    /// Returns the names that one entry turns into this one.
    fn renamed_to(&self, id: &str) -> Vec<String> {
        let olds = self.0.values().filter_map(|(old, new)| {
            let rest = id.strip_prefix(new.text.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{}{rest}", old.text))
        });
        olds.collect()
    }

    /// Returns the entries whose old name still exists or whose new name does not.
    pub(crate) fn check(&self, cases: &[Case]) -> Vec<Problem> {
        let is_there = |name: &str| cases.iter().any(|case| case.is_in(name));
        let problems = self.0.values().flat_map(|(old, new)| {
            let stays = is_there(&old.text).then(|| {
                let text = format!("the case {} still exists, so it was not renamed", old.text);
                Problem::other(old.at, text)
            });
            let target = match self.0.get(&new.text) {
                Some((_, last)) => {
                    let text = format!("{} was renamed, too", new.text);
                    Some(Problem::other(new.at, text).help(format!("write {} here", last.text)))
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
