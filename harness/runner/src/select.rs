//! Selects the cases of a run.

use std::collections::{BTreeMap, BTreeSet};

use case::Case;
use globset::{Glob, GlobMatcher};
use sha2::{Digest, Sha256};

/// Why a filter is invalid.
#[derive(Debug, thiserror::Error)]
#[error("the filter `{filter}` is not a valid glob: {error}")]
pub struct BadFilter {
    filter: String,
    error: globset::Error,
}

/// Filters by id and by clause. A case has to pass both kinds.
#[derive(Debug, Default)]
pub struct Selection {
    ids: Vec<Filter>,
    clauses: Vec<GlobMatcher>,
}

/// Filters that select no case, each alone or all together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no case is selected{}; `run-conformance --list` shows all {all}",
    told(useless)
)]
pub struct NothingSelected {
    /// The filters that no case passes, with the name that was probably meant.
    pub useless: Vec<(String, Option<String>)>,
    /// Number of cases.
    pub all: usize,
}

#[derive(Debug)]
enum Filter {
    Glob(GlobMatcher),
    Part(String),
}

/// Puts cases into the order that a seed decides. Any two of them have the same order in each
/// selection, so that fewer cases can show what one leaves to another.
pub fn shuffle(cases: &mut [&Case], seed: u64) {
    cases.sort_by_cached_key(|case| {
        let place = Sha256::new().chain_update(seed.to_le_bytes());
        place.chain_update(&case.id).finalize()
    });
}

impl Selection {
    /// Parses filters of the command line.
    pub fn new(ids: &[String], clauses: &[String]) -> Result<Self, BadFilter> {
        let ids = ids.iter().map(|text| {
            let is_glob = text.contains(['*', '?', '[']);
            if is_glob {
                glob(text).map(Filter::Glob)
            } else {
                Ok(Filter::Part(text.clone()))
            }
        });
        let clauses = clauses.iter().map(|text| glob(text));
        Ok(Self {
            ids: ids.collect::<Result<_, _>>()?,
            clauses: clauses.collect::<Result<_, _>>()?,
        })
    }

    /// Whether a case is selected.
    pub fn takes(&self, case: &Case) -> bool {
        let id = self.ids.is_empty() || self.ids.iter().any(|filter| filter.takes(case));
        let by_clause = |clause: &str| self.clauses.iter().any(|glob| glob.is_match(clause));
        id && (self.clauses.is_empty() || case.clauses().any(by_clause))
    }

    /// Returns the selected cases. A filter that no case passes is an error even beside others: it
    /// is misspelt, or its cases no longer exist.
    pub fn of(&self, cases: &[Case]) -> Result<Vec<Case>, NothingSelected> {
        let useless = self.useless(cases);
        let selected = cases.iter().filter(|case| self.takes(case)).cloned();
        let selected: Vec<_> = selected.collect();
        if useless.is_empty() && !selected.is_empty() {
            return Ok(selected);
        }
        Err(NothingSelected {
            useless,
            all: cases.len(),
        })
    }

    fn useless(&self, cases: &[Case]) -> Vec<(String, Option<String>)> {
        let taken_by = |filter: &Filter| cases.iter().any(|case| filter.takes(case));
        let ids = self.ids.iter().filter(|filter| !taken_by(filter));
        let ids = ids.map(|filter| match filter {
            Filter::Part(part) => (part.clone(), nearest(part, cases)),
            Filter::Glob(glob) => (glob.glob().glob().to_owned(), None),
        });
        let proven_by = |glob: &GlobMatcher| {
            let mut clauses = cases.iter().flat_map(Case::clauses);
            clauses.any(|clause| glob.is_match(clause))
        };
        let clauses = self.clauses.iter().filter(|glob| !proven_by(glob));
        let clauses = clauses.map(|glob| (format!("--clause {}", glob.glob().glob()), None));
        ids.chain(clauses).collect()
    }

    /// Returns the old and the new name of each case that was selected only by its old name: the
    /// names of the files, unless the row has another name, too.
    pub fn renamed(&self, selected: &[Case]) -> BTreeMap<String, String> {
        let by_old_name = |case: &&Case| {
            !self.ids.is_empty() && !self.ids.iter().any(|filter| filter.takes_id(&case.id))
        };
        let renamed = selected.iter().filter(by_old_name).filter_map(|case| {
            let meant = |id: &&String| self.ids.iter().any(|filter| filter.takes_former(id));
            let old = case.former.iter().find(meant)?;
            let row = case.id.strip_prefix(case.file.as_str())?;
            Some(match old.strip_suffix(row) {
                Some(old) => (old.to_owned(), case.file.clone()),
                None => (old.clone(), case.id.clone()),
            })
        });
        renamed.collect()
    }
}

/// Returns the folder, file or id that was probably meant, in full or without its parent folders.
fn nearest(part: &str, cases: &[Case]) -> Option<String> {
    let part = part.trim_matches('/');
    let depth = part.matches('/').count();
    let mut known = BTreeSet::new();
    for case in cases {
        let parts: Vec<_> = case.id.split('/').collect();
        known.extend(parts.windows(depth + 1).map(|parts| parts.join("/")));
    }
    case::nearest(part, known.iter().map(String::as_str)).map(str::to_owned)
}

fn told(useless: &[(String, Option<String>)]) -> String {
    let each = useless.iter().map(|(given, near)| match near {
        Some(near) => format!(" by `{given}` (did you mean `{near}`?)"),
        None => format!(" by `{given}`"),
    });
    each.collect::<Vec<_>>().join(",")
}

impl Filter {
    fn takes(&self, case: &Case) -> bool {
        self.takes_id(&case.id) || case.former.iter().any(|id| self.takes_former(id))
    }

    fn takes_id(&self, id: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(id),
            Self::Part(part) => id.contains(part.trim_end_matches('/')),
        }
    }

    /// Whether the filter selects an old id. Only the whole id or whole components of its path
    /// match: other parts of old names would select unrelated cases.
    fn takes_former(&self, id: &str) -> bool {
        match self {
            Self::Glob(glob) => glob.is_match(id),
            Self::Part(part) => {
                let rest = id.strip_prefix(part.trim_end_matches('/'));
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

fn glob(text: &str) -> Result<GlobMatcher, BadFilter> {
    let glob = Glob::new(text).map_err(|error| BadFilter {
        filter: text.to_owned(),
        error,
    })?;
    Ok(glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use case::{Corpus, Findings};
    use rstest::rstest;

    use super::*;

    fn corpus() -> Corpus {
        let folder = tempfile::tempdir().unwrap();
        let case = "summary: x\ntable: {one: {}, two: {}}\nsteps:\n  - close: a\n";
        let renamed = "claims/c1: new/first\nnew/first-old: new/second\n\
                       new/third/uno: new/third/one\n";
        for (name, text) in [
            ("first", case),
            ("second", case),
            ("third", case),
            ("claims", case),
        ] {
            let path = folder.path().join(format!("new/{name}.yaml"));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        std::fs::write(folder.path().join("renamed.yaml"), renamed).unwrap();
        Corpus::load(folder.path(), Findings::default(), false).unwrap()
    }

    fn selected(filter: &str) -> (Vec<String>, BTreeMap<String, String>) {
        let corpus = corpus();
        let selection = Selection::new(&[filter.to_owned()], &[]).unwrap();
        let cases = corpus
            .cases
            .into_iter()
            .filter(|case| selection.takes(case));
        let cases: Vec<_> = cases.collect();
        let renamed = selection.renamed(&cases);
        (cases.into_iter().map(|case| case.id).collect(), renamed)
    }

    #[rstest]
    #[case::an_old_file("claims/c1", &["new/first/one", "new/first/two"])]
    #[case::an_old_row("claims/c1/two", &["new/first/two"])]
    #[case::an_old_glob("claims/*/two", &["new/first/two"])]
    fn an_old_name_selects_the_new_one(#[case] filter: &str, #[case] wanted: &[&str]) {
        let (ids, renamed) = selected(filter);
        assert_eq!(ids, wanted);
        let told: Vec<_> = renamed.into_iter().collect();
        assert_eq!(told, [("claims/c1".to_owned(), "new/first".to_owned())]);
    }

    #[rstest]
    fn a_seed_decides_the_order_of_any_two_cases(#[values(1, 2, 3)] seed: u64) {
        let corpus = corpus();
        let mut all: Vec<_> = corpus.cases.iter().collect();
        shuffle(&mut all, seed);
        let mut some: Vec<_> = corpus.cases.iter().step_by(3).collect();
        shuffle(&mut some, seed);
        let places = some
            .iter()
            .map(|case| all.iter().position(|it| it.id == case.id));
        assert!(places.is_sorted());
    }

    #[test]
    fn another_seed_is_another_order() {
        let corpus = corpus();
        let order = |seed| {
            let mut cases: Vec<_> = corpus.cases.iter().collect();
            shuffle(&mut cases, seed);
            cases.iter().map(|case| case.id.clone()).collect::<Vec<_>>()
        };
        assert_ne!(order(1), order(2));
        assert_eq!(order(1), order(1));
    }

    #[test]
    fn the_old_name_of_a_row_selects_it() {
        let (ids, renamed) = selected("new/third/uno");
        assert_eq!(ids, ["new/third/one"]);
        let told: Vec<_> = renamed.into_iter().collect();
        assert_eq!(
            told,
            [("new/third/uno".to_owned(), "new/third/one".to_owned())]
        );
    }

    #[rstest]
    #[case::a_new_name("new/first", &["new/first/one", "new/first/two"])]
    #[case::part_of_an_old_name("first-old", &[])]
    #[case::a_shorter_old_name("claims/c", &[])]
    fn parts_of_old_names_select_nothing(#[case] filter: &str, #[case] wanted: &[&str]) {
        let (ids, renamed) = selected(filter);
        assert_eq!(ids, wanted);
        assert!(renamed.is_empty());
    }

    #[rstest]
    #[case::a_file("frist", Some("first"))]
    #[case::a_row("new/first/no", Some("new/first/one"))]
    #[case::a_file_in_its_folder("new/secnd", Some("new/second"))]
    #[case::a_glob("zzz/*", None)]
    #[case::nothing_like_it("zzz", None)]
    fn a_misspelt_name_is_told(#[case] filter: &str, #[case] near: Option<&str>) {
        let corpus = corpus();
        let filters = ["first".to_owned(), filter.to_owned()];
        let selection = Selection::new(&filters, &[]).unwrap();
        let nothing = selection.of(&corpus.cases).unwrap_err();
        let near = near.map(str::to_owned);
        assert_eq!(nothing.useless, [(filter.to_owned(), near)]);
        assert_eq!(nothing.all, 8);
    }

    #[test]
    fn a_clause_that_no_case_proves_is_told() {
        let selection = Selection::new(&[], &["S9.*".to_owned()]).unwrap();
        let nothing = selection.of(&corpus().cases).unwrap_err();
        assert_eq!(
            nothing.to_string(),
            "no case is selected by `--clause S9.*`; `run-conformance --list` shows all 8"
        );
    }

    #[test]
    fn an_old_folder_selects_beside_what_has_its_name() {
        let (ids, renamed) = selected("claims");
        let wanted = [
            "new/claims/one",
            "new/claims/two",
            "new/first/one",
            "new/first/two",
        ];
        assert_eq!(ids, wanted);
        assert_eq!(renamed.len(), 1);
    }
}
