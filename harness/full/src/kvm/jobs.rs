//! The cases and walks to run.

use std::collections::BTreeSet;

use explore::seed_of_now;
use runner::{
    options::vm_images_folder, platform::names, snapshot::REFERENCE_PLATFORM as REFERENCE,
};

use crate::{
    FullError,
    options::{Extent, KvmOptions},
};

/// Bind, what it blocks, and DMA that lands, for each shape of group.
const BRIEF: &[&str] = &[
    "stage1/bind-blocks",
    "stage2/bind-blocks-siblings",
    "stage1/mapping-holds*",
];
/// A few cases for each engine and each kind of wait: DMA before, during and after bind, DMA of a
/// kernel driver, interrupts of every kind, registers, an mdev, hot-unplug, the mock.
const SMOKE: &[&str] = &[
    "stage1/bind-blocks",
    "stage2/bind-blocks-siblings",
    "stage1/kernel-driver-returns",
    "stage3",
    "type1/map/*",
    "vfio-pci/intx",
    "vfio-pci/msi",
    "vfio-pci/msix",
    "vfio-pci/rw-*",
    "vfio-pci/mmap-*",
    "vfio-pci/reset",
    "vfio-pci/unplug*",
    "vfio-pci/vf-*",
    "vfio-device/ioeventfd-*",
    "mdev/*",
    "mock/dirty-bitmap",
    "fail-nth/ioas-*",
];
/// The cases of the smoke set that depend on the IOMMU. DMA of a kernel driver is not among them:
/// on a platform where it never lands, the case would wait for it.
const SMOKE_ELSEWHERE: &[&str] = &[
    "stage1/bind-blocks",
    "stage2/bind-blocks-siblings",
    "stage3",
    "type1/map/*",
    "vfio-pci/msix",
];
/// What --all runs on platforms other than the reference.
const STAGES: &[&str] = &[
    "stage1",
    "stage2",
    "stage3",
    "type1",
    "compat",
    "iommufd/vtd-scalable-bridge",
    "vfio-device/pasid-failed-copy-out",
    "vfio-device/bind-attach-trailing-bytes",
    "vfio-device/noiommu-bind",
    "mdev",
    "race",
];
/// Worlds that --all walks: groups behind a bridge and of functions, through the group's node.
const WORLDS: &[&str] = &["group path"];
const WALKS: u64 = 12;
/// Number of walks in a job. It is small, because a guest with two processors is lost more often in
/// the emulated host.
const WALKS_OF_A_JOB: u64 = 2;
/// Platforms of the smoke set, and of --all.
const PLATFORMS: &[&str] = &["intel", "intel-scalable", "intel-flts", "virtio", "amd"];
/// Platforms of --all. The others differ from these in the IOMMU, not in KVM.
const ALL_PLATFORMS: &[&str] = &["intel", "virtio", "intel-scalable"];

/// Kinds of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Cases, which are compared.
    Cases,
    /// Walks through the model, whose exit code counts.
    Walks,
}

/// One command. It runs in the emulated host and, if it judges cases, also on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its name, also that of its record.
    pub name: String,
    /// The platform.
    pub platform: String,
    /// What it runs.
    pub kind: Kind,
    /// Arguments of xtask.
    pub arguments: Vec<String>,
    /// Filters for cases, or arguments that select walks.
    pub filters: Vec<String>,
}

impl Job {
    /// `arguments` are those before the platform; `suffix` distinguishes the jobs of a platform.
    fn new(
        platform: &str,
        suffix: &str,
        kind: Kind,
        arguments: &str,
        filters: &[impl AsRef<str>],
    ) -> Self {
        let mut arguments = words(arguments);
        arguments.extend(["--platform", platform].map(str::to_owned));
        Self {
            name: format!("{platform}{suffix}"),
            platform: platform.to_owned(),
            kind,
            arguments,
            filters: filters.iter().map(|it| it.as_ref().to_owned()).collect(),
        }
    }

    fn cases(platform: &str, filters: &[impl AsRef<str>]) -> Self {
        let command = "run-conformance --format json --jobs 1";
        Self::new(platform, "", Kind::Cases, command, filters)
    }

    fn races(platform: &str) -> Self {
        let command = "run-conformance --format json --jobs 1 --processors 2";
        Self::new(platform, "-two-processors", Kind::Cases, command, &["race"])
    }

    fn walks(platform: &str, what: &str, filters: &[String]) -> Self {
        let suffix = format!("-{what}");
        Self::new(platform, &suffix, Kind::Walks, "explore --jobs 1", filters)
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Returns the jobs that the options select.
pub fn jobs(options: &KvmOptions) -> Result<Vec<Job>, FullError> {
    let known = names(&vm_images_folder());
    if let Some(name) = options.platforms.iter().find(|name| !known.contains(name)) {
        let name = name.clone();
        return Err(runner::platform::PlatformError::Unknown { name, known }.into());
    }
    let jobs: Vec<_> = platforms(options)
        .iter()
        .flat_map(|platform| on_platform(options, platform))
        .collect();
    if jobs.is_empty() {
        return Err(FullError::Nothing(known.join(", ")));
    }
    Ok(jobs)
}

fn platforms(options: &KvmOptions) -> Vec<String> {
    let mut chosen = options.platforms.clone();
    let mut seen = BTreeSet::new();
    chosen.retain(|name| seen.insert(name.clone()));
    let usual: &[&str] = match options.extent {
        Extent::Brief | Extent::Cases(_) => &[REFERENCE],
        Extent::All => ALL_PLATFORMS,
        Extent::Smoke => PLATFORMS,
    };
    match chosen.as_slice() {
        [] => usual.iter().map(|name| (*name).to_owned()).collect(),
        _ => chosen,
    }
}

fn on_platform(options: &KvmOptions, platform: &str) -> Vec<Job> {
    let reference = platform == REFERENCE;
    let cases = match &options.extent {
        Extent::Brief => Job::cases(platform, BRIEF),
        Extent::All if reference => Job::cases(platform, &[] as &[&str]),
        Extent::All => Job::cases(platform, STAGES),
        Extent::Cases(cases) => Job::cases(platform, cases),
        Extent::Smoke if reference => Job::cases(platform, SMOKE),
        Extent::Smoke => Job::cases(platform, SMOKE_ELSEWHERE),
    };
    let mut jobs = vec![cases];
    if reference && matches!(options.extent, Extent::Smoke | Extent::All) {
        jobs.push(Job::races(platform));
    }
    let whole = options.extent == Extent::All && reference;
    let worlds = WORLDS.iter().map(|world| (*world).to_owned());
    let worlds: Vec<_> = worlds
        .filter(|_| whole)
        .chain(options.explore.clone())
        .collect();
    if !worlds.is_empty() {
        jobs.push(Job::walks(platform, "explore", &worlds));
    }
    if let Some(walks) = options.random.or(whole.then_some(WALKS)) {
        jobs.extend(random(platform, walks, seed_of_now()));
    }
    jobs
}

/// Returns jobs with a few random walks each.
fn random(platform: &str, walks: u64, seed: u64) -> Vec<Job> {
    let firsts = (0..walks).step_by(WALKS_OF_A_JOB as usize);
    let job = |first: u64| {
        let count = WALKS_OF_A_JOB.min(walks - first);
        let walks = format!("--random {count} --seed {seed} --walk {first}");
        Job::walks(platform, &format!("random-{first}"), &words(&walks))
    };
    firsts.map(job).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use runner::{lab::load_corpus, options::cases_folder, select::Selection};

    use super::*;

    fn options(change: impl FnOnce(&mut KvmOptions)) -> KvmOptions {
        let mut options = KvmOptions::default();
        change(&mut options);
        options
    }

    fn named(options: &KvmOptions) -> Vec<String> {
        let jobs = jobs(options).unwrap();
        jobs.into_iter().map(|job| job.name).collect()
    }

    #[rstest]
    #[case::smoke(options(|_| {}), &["intel", "intel-two-processors", "intel-scalable", "intel-flts", "virtio", "amd"])]
    #[case::a_platform_twice(
        options(|it| it.platforms = vec!["virtio".to_owned(), "virtio".to_owned()]),
        &["virtio"]
    )]
    #[case::brief(options(|it| it.extent = Extent::Brief), &["intel"])]
    #[case::all(
        options(|it| it.extent = Extent::All),
        &[
            "intel", "intel-two-processors", "intel-explore", "intel-random-0", "intel-random-2",
            "intel-random-4", "intel-random-6", "intel-random-8", "intel-random-10", "virtio",
            "intel-scalable",
        ]
    )]
    #[case::cases(options(|it| it.extent = Extent::Cases(vec!["stage1".to_owned()])), &["intel"])]
    #[case::a_platform(options(|it| it.platforms = vec!["virtio".to_owned()]), &["virtio"])]
    #[case::walks(
        options(|it| {
            it.extent = Extent::Brief;
            it.explore = vec!["mdev".to_owned()];
            it.random = Some(3);
        }),
        &["intel", "intel-explore", "intel-random-0", "intel-random-2"]
    )]
    fn options_say_what_is_done(#[case] options: KvmOptions, #[case] names: &[&str]) {
        assert_eq!(named(&options), names);
    }

    #[test]
    fn random_walks_are_told_apart_by_their_numbers() {
        let jobs: Vec<_> = random("intel", 3, 7)
            .into_iter()
            .map(|job| job.filters.join(" "))
            .collect();
        let wanted = [
            "--random 2 --seed 7 --walk 0",
            "--random 1 --seed 7 --walk 2",
        ];
        assert_eq!(jobs, wanted);
    }

    #[test]
    fn every_filter_selects_something() {
        let corpus = load_corpus(&cases_folder()).unwrap();
        for filter in [BRIEF, SMOKE, SMOKE_ELSEWHERE, STAGES].concat() {
            let selection = Selection::new(&[filter.to_owned()], &[]).unwrap();
            let found = corpus.cases.iter().any(|case| selection.takes(case));
            assert!(found, "{filter}");
        }
    }
}
