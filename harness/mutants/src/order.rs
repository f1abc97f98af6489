//! Cases in the order in which they are likely to kill a mutant.
//!
//! The order only affects the time until the first kill.

use std::collections::BTreeSet;

use case::Case;

use crate::mutant::Mutant;

/// Minimum length of a word that counts.
const WORD: usize = 4;

/// Sorts cases: first those that killed the mutant last time, then those that share a clause with
/// it, then those that share words.
pub fn sort(cases: &mut [&Case], mutant: &Mutant, before: &[String]) {
    let about = words(&[&mutant.id, &mutant.rule, &mutant.function]);
    cases.sort_by_cached_key(|case| {
        let killed = before.contains(&case.id);
        let clause = case
            .clauses()
            .any(|id| mutant.clauses.iter().any(|c| c == id));
        let shared = words(&[&case.id, &case.summary])
            .intersection(&about)
            .count();
        std::cmp::Reverse((killed, clause, shared))
    });
}

fn words(texts: &[&str]) -> BTreeSet<String> {
    let split = |text: &&str| {
        text.split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| word.len() >= WORD)
            .map(str::to_ascii_lowercase)
            .collect::<Vec<_>>()
    };
    texts.iter().flat_map(split).collect()
}
