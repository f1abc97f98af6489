//! What both texts say alike.

use std::collections::BTreeMap;

use crate::{
    change::{Change, Judged, Kind},
    comparison::{Comparison, EndChange, Ran},
};

/// One of the runs: what the user gave, the kernel, and the machine.
pub fn ran(of: &Ran) -> String {
    let facts = &of.facts;
    let linux = facts.linux();
    let kernel = match linux.trim_start_matches("Linux ") == of.name {
        true => linux,
        false => format!("{} ({linux})", of.name),
    };
    format!("{kernel} on {}", facts.platform)
}

/// `PASS -> FAIL`, or the verdict that both have.
pub fn verdicts(change: &Change) -> String {
    let name = |judged: &Option<Judged>| judged.as_ref().map_or("none", |it| it.verdict.name());
    match (name(&change.base), name(&change.head)) {
        (base, head) if base == head => base.to_owned(),
        (base, head) => format!("{base} -> {head}"),
    }
}

/// The changes of each kind, without the kinds that no change has.
pub fn by_kind(changes: &[Change]) -> Vec<(Kind, Vec<&Change>)> {
    let of_kind = |kind: Kind| {
        let these: Vec<_> = changes.iter().filter(|it| it.kind == kind).collect();
        (!these.is_empty()).then_some((kind, these))
    };
    Kind::ALL.into_iter().filter_map(of_kind).collect()
}

/// Why cases are not judged on one side, those with most cases first.
pub fn reasons<'a>(changes: &[&'a Change]) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut cases: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for change in changes {
        let missing = match change.kind {
            Kind::Came => &change.base,
            _ => &change.head,
        };
        let reason = missing.as_ref().and_then(|it| it.reason.as_deref());
        let reason = reason.unwrap_or("the case did not run");
        cases.entry(reason).or_default().push(&change.case);
    }
    let mut reasons: Vec<_> = cases.into_iter().collect();
    reasons.sort_by_key(|(_, cases)| std::cmp::Reverse(cases.len()));
    reasons
}

/// The last line: what changed and what did not.
pub fn totals(of: &Comparison) -> String {
    let changed: Vec<_> = by_kind(&of.changes)
        .into_iter()
        .map(|(kind, changes)| format!("{} {}", changes.len(), counted(kind)))
        .collect();
    let changed = match changed.is_empty() {
        true => "nothing changed".to_owned(),
        false => format!("changed: {}", changed.join(", ")),
    };
    let intended = match of.intended.len() {
        0 => String::new(),
        count => format!("; {count} as intended"),
    };
    format!(
        "{} cases judged by both, {} alike; {changed}{intended}",
        of.judged, of.alike
    )
}

const fn counted(kind: Kind) -> &'static str {
    match kind {
        Kind::Broken => "broken",
        Kind::Mended => "mended",
        Kind::Verdict => "with another verdict",
        Kind::End => "with another end",
        Kind::Fields => "with another value",
        Kind::Came => "on the head only",
        Kind::Went => "on the base only",
    }
}

/// The cases of an end that changed: the first ones, and how many more.
pub fn some_cases(end: &EndChange, shown: usize) -> String {
    let first: Vec<_> = end.cases.iter().take(shown).map(String::as_str).collect();
    match end.cases.len().saturating_sub(shown) {
        0 => first.join(", "),
        more => format!("{}, {more} more", first.join(", ")),
    }
}
