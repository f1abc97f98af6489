//! Compares the history with what the headers of releases declare.
//!
//! `history.tsv` has the facts of these headers: which of the tables' names each declares, and the
//! number that a C compiler makes of it. The runner's test `history.rs` extracts it, and compares
//! the history with the headers of the kernels at hand.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test panics to fail")]

use std::collections::{BTreeMap, BTreeSet};

use uapi::{Evidence, Part, Series, Since};

const FACTS: &str = include_str!("history.tsv");

/// What a stable release has although its series does not, with the first such release at hand.
const BACKPORTS: &[(&str, &str)] = &[
    ("iommu_hw_info.out_max_pasid_log2", "6.12.95"),
    ("IOMMU_HW_CAP_PCI_PASID_EXEC", "6.12.95"),
    ("IOMMU_HW_CAP_PCI_PASID_PRIV", "6.12.95"),
    ("iommu_hwpt_pgfault.__reserved", "6.12.95"),
    ("iommu_hwpt_pgfault.__reserved", "6.13.4"),
];

/// The facts about the headers.
struct Facts {
    /// The releases whose header of this name was read, from the oldest.
    read: BTreeMap<&'static str, Vec<&'static str>>,
    /// For each name, the releases with which its number changes; `-` where the name is absent.
    changes: BTreeMap<&'static str, BTreeMap<&'static str, &'static str>>,
}

impl Facts {
    fn read() -> Self {
        let lines = FACTS.lines().filter(|line| !line.starts_with('#'));
        let mut facts = Self {
            read: BTreeMap::new(),
            changes: BTreeMap::new(),
        };
        for line in lines {
            let columns: Vec<_> = line.split('\t').collect();
            match columns[..] {
                ["header", header, releases] => {
                    facts.read.insert(header, releases.split(' ').collect());
                }
                [name, changes] => {
                    let changes = changes.split(' ').map(|it| it.split_once('=').unwrap());
                    facts.changes.insert(name, changes.collect());
                }
                _ => panic!("not a fact: {line}"),
            }
        }
        facts
    }

    /// Each release with what its header makes of the name, without those older than a part that
    /// came with some release or an earlier one: they say nothing.
    fn of(&self, part: &Part) -> Vec<(&'static str, Option<&'static str>)> {
        let Some(releases) = self.read.get(part.source) else {
            return Vec::new();
        };
        let changes = self.changes.get(part.name.as_str());
        let changes = changes.unwrap_or_else(|| panic!("extract anew: {} is missing", part.name));
        let mut number = None;
        let known = releases.iter().map(|release| {
            if let Some(changed) = changes.get(release) {
                number = Some(*changed).filter(|number| *number != "-");
            }
            (*release, number)
        });
        let says = |release| match part.since {
            Since::Exactly(_) => true,
            Since::By(since) => series(release) >= since,
        };
        known.filter(|(release, _)| says(release)).collect()
    }
}

fn series(release: &str) -> Series {
    Series::of_release(release).unwrap()
}

fn is_backport(name: &str, release: &str) -> bool {
    let patch = |release: &str| release.rsplit('.').next().unwrap().parse::<u32>().ok();
    let known = |(known, from): &(&str, &str)| {
        *known == name && series(from) == series(release) && patch(from) <= patch(release)
    };
    BACKPORTS.iter().any(known)
}

#[test]
fn a_release_has_what_is_older_and_lacks_what_is_newer() {
    let facts = Facts::read();
    let mut wrong = Vec::new();
    for part in uapi::history() {
        for (release, number) in facts.of(&part) {
            let expected =
                part.since.series() <= series(release) || is_backport(&part.name, release);
            if number.is_some() != expected {
                let has = if expected { "lacks" } else { "has" };
                wrong.push(format!("{release} {has} {}: {:?}", part.name, part.since));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_backport_is_in_the_headers() {
    let facts = Facts::read();
    for (name, release) in BACKPORTS {
        let part = uapi::history().find(|part| part.name == *name).unwrap();
        assert!(part.since.series() > series(release), "{name} {release}");
        let there = |(known, number): &(&str, Option<&str>)| known == release && number.is_some();
        assert!(facts.of(&part).iter().any(there), "{name} {release}");
    }
}

#[test]
fn the_headers_bracket_what_is_exact_by_them() {
    let facts = Facts::read();
    let mut wrong = Vec::new();
    for part in uapi::history() {
        // Asked as if it were exact: then it must not be.
        let asked = Part {
            since: Since::Exactly(part.since.series()),
            ..part.clone()
        };
        let known = facts.of(&asked);
        let bracketed = known.windows(2).any(|pair| {
            let [(before, None), (with, Some(_))] = pair else {
                return false;
            };
            series(with) == part.since.series() && follows(series(before), series(with))
        });
        let exact = part.since == asked.since && part.evidence == Evidence::Headers;
        if exact != bracketed && !known.is_empty() {
            let (name, since, evidence) = (part.name, part.since, part.evidence);
            wrong.push(format!(
                "{name}: {since:?}, {evidence:?}, headers say {bracketed}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether no series is between the two.
fn follows(before: Series, series: Series) -> bool {
    let last = [(5, 19), (6, 19)].contains(&(before.major, before.minor));
    match (series.major - before.major, last) {
        (0, _) => series.minor == before.minor + 1,
        (1, true) => series.minor == 0,
        _ => false,
    }
}

#[test]
fn a_number_never_changes_but_the_size_of_a_struct_does() {
    let facts = Facts::read();
    let mut wrong = Vec::new();
    for part in uapi::history() {
        let of = uapi::structure(&part.name);
        for (release, number) in facts.of(&part) {
            let Some(number) = number else { continue };
            let ours = match of {
                Some(of) => of.size_in(series(release)).to_string(),
                None => number_in_the_tables(&part.name),
            };
            // What was reserved and is used makes the rest smaller.
            if ours != number && !is_reserved(&part.name) {
                let name = &part.name;
                wrong.push(format!("{name} in {release}: {number}, ours {ours}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn is_reserved(name: &str) -> bool {
    let field = name.split_once('.');
    let field = field.and_then(|(of, field)| uapi::structure(of)?.field(field));
    field.is_some_and(|field| field.kind == uapi::Kind::Reserved)
}

fn number_in_the_tables(name: &str) -> String {
    if let Some((of, field)) = name.split_once('.') {
        let field = uapi::structure(of).unwrap().field(field).unwrap();
        return format!("{}+{}", field.offset, field.size());
    }
    let ioctl = uapi::ioctl(name).map(|ioctl| ioctl.request.into());
    format!("{:#x}", ioctl.or_else(|| uapi::constant(name)).unwrap())
}

#[test]
fn every_fact_is_about_a_name_of_the_tables() {
    let names: BTreeSet<_> = uapi::history().map(|part| part.name).collect();
    for name in Facts::read().changes.keys() {
        assert!(names.contains(*name), "{name} is in no table");
    }
}
