//! Mistakes in a case that show only once it is compiled for a guest.

use std::collections::BTreeSet;

use case::{Case, Guest, NOT_DECLARED};
use wire::{Op, Use, Value};

use crate::{platform::PlatformError, program::Platforms};

/// Tells of cases which no platform can run, whose SKIP would hide a mistake, and of names that are
/// used and that no step has saved before.
///
/// # Errors
/// When the file of a platform cannot be read.
pub fn problems(cases: &[Case]) -> Result<Vec<String>, PlatformError> {
    let platforms = Platforms::load(None)?;
    // The imagined guests have a kernel of the series that the tables are written for.
    let admitted = |case: &&Case| case.needs.admits(Some(uapi::SERIES));
    let of_series = cases.iter().filter(admitted);
    let problems = of_series.filter_map(|case| problem(case, &platforms));
    Ok(problems.collect())
}

fn problem(case: &Case, platforms: &Platforms) -> Option<String> {
    let mut needs = BTreeSet::new();
    for guest in imagined(case, platforms) {
        match case.compile(&guest) {
            Ok(compiled) => {
                let unsaved = unsaved(&compiled.plan.ops)?;
                return Some(format!(
                    "{}: no step before saves `${unsaved}`, which a step uses",
                    case.id
                ));
            }
            // No imagined kernel has headers with names that the tables lack.
            Err(need) if need.starts_with(NOT_DECLARED) => return None,
            Err(need) => needs.insert(need),
        };
    }
    let needs: Vec<_> = needs.into_iter().collect();
    let needs = needs.join("; or ");
    Some(format!(
        "{}: no platform can run it: it needs {needs}",
        case.id
    ))
}

/// Gives the groups of an imagined guest a default domain.
pub(crate) fn with_domains(mut guest: Guest) -> Guest {
    // Which type the kernel chooses does not matter here.
    let numbers = guest.groups.iter().filter_map(|group| group.number);
    guest.default_domain = numbers.map(|number| (number, "DMA".to_owned())).collect();
    guest
}

fn imagined(case: &Case, platforms: &Platforms) -> impl Iterator<Item = Guest> {
    platforms.guests(case).map(with_domains)
}

/// The first name that an op reads and no op has left, in whichever process.
fn unsaved(ops: &[Op]) -> Option<String> {
    let mut saved = BTreeSet::new();
    for op in ops {
        let uses = op.uses();
        saved.extend(uses.iter().filter_map(|one| match one {
            Use::Leaves(target) => Some(target.slot()),
            Use::Reads(_) | Use::ReadsFd(_) => None,
        }));
        let read = uses.iter().find_map(|one| match one {
            Use::Reads(Value::Slot { name, .. }) | Use::ReadsFd(Value::Slot { name, .. }) => {
                (!saved.contains(name.as_str())).then(|| name.clone())
            }
            _ => None,
        });
        if read.is_some() {
            return read;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use case::{Corpus, Findings};
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::in_order(
        "shapes: [singleton]\nsteps:\n  - open: {a: group.0}\n  - close: a",
        None
    )]
    #[case::no_shapes(
        "steps:\n  - open: {a: group.0}",
        Some("c: no platform can run it: it needs a group, but the case has no `shapes`")
    )]
    #[case::no_such_platform(
        "needs: {platforms: [intl]}\nsteps:\n  - open: {i: /dev/iommu}",
        Some("c: no platform can run it: it needs platform intl")
    )]
    #[case::no_such_feature(
        "needs: {features: [zzz]}\nsteps:\n  - open: {i: /dev/iommu}",
        Some("c: no platform can run it: it needs feature zzz: the agent does not know it")
    )]
    #[case::no_option(
        "needs: {config: [NOSUCH]}\nsteps:\n  - open: {i: /dev/iommu}",
        Some("c: no platform can run it: it needs NOSUCH=y in the kernel's configuration")
    )]
    #[case::not_saved(
        "steps:\n  - open: {i: /dev/iommu}\n  - IOMMU_DESTROY: {on: i, id: $ioas}",
        Some("c: no step before saves `$ioas`, which a step uses")
    )]
    #[case::not_open(
        "steps:\n  - IOMMU_IOAS_ALLOC: {on: zz}",
        Some("c: no step before saves `$zz`, which a step uses")
    )]
    #[case::of_the_headers(
        "steps:\n  - open: {i: /dev/iommu}\n  - IOMMU_HWPT_ALLOC: {on: i, flags: headers.IOMMU_NEW}",
        None
    )]
    #[case::of_another_series(
        "needs: {until: \"6.12\", features: [zzz]}\nsteps:\n  - open: {i: /dev/iommu}",
        None
    )]
    fn a_case_that_would_never_run_is_told(#[case] text: &str, #[case] wanted: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("c.yaml"),
            format!("summary: x\n{text}\n"),
        )
        .unwrap();
        let corpus = Corpus::load(folder.path(), Findings::default(), false).unwrap();
        let told = problems(&corpus.cases).unwrap();
        let told: Vec<_> = told
            .iter()
            .map(|told| told.replace("c/singleton", "c"))
            .collect();
        assert_eq!(told, Vec::from_iter(wanted));
    }

    #[test]
    fn every_case_of_the_corpus_can_run_somewhere() {
        let corpus = crate::lab::load_corpus(&crate::options::cases_folder()).unwrap();
        assert_eq!(problems(&corpus.cases).unwrap(), Vec::<String>::new());
    }

    /// An op that no step makes is a step that somebody forgot.
    #[test]
    fn the_corpus_makes_every_op() {
        let corpus = crate::lab::load_corpus(&crate::options::cases_folder()).unwrap();
        let platforms = Platforms::load(None).unwrap();
        let mut missing: BTreeSet<_> = [
            wire::MemoryOp::NAMES,
            wire::FileOp::NAMES,
            wire::EventOp::NAMES,
            wire::PciOp::NAMES,
            wire::DmaOp::NAMES,
            wire::ProcessOp::NAMES,
            wire::ControlOp::NAMES,
        ]
        .concat()
        .into_iter()
        .collect();
        for case in &corpus.cases {
            for guest in imagined(case, &platforms) {
                if let Ok(compiled) = case.compile(&guest) {
                    let plan = format!("{:?}", compiled.plan);
                    missing.retain(|name| !plan.contains(&format!("({name} {{")));
                }
            }
        }
        // `fault` is the step that tests of the judge use, and programs are the kernel's own tests.
        assert_eq!(missing, BTreeSet::from(["Fault", "Program"]));
    }
}
