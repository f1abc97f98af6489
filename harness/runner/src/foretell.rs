//! The cases that a run will skip, known from the platform and the configuration of its kernel.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use case::{Case, NOT_DECLARED, OPTIONS_OF_CALLS};
use uapi::Header;
use vm_images::Source;

use crate::{
    lab::LabError,
    options::{MachineOptions, root},
    platform::Platform,
    promise::{promised, relevant},
    snapshot::REFERENCE_SERIES,
};

/// Tells which cases a platform skips on a kernel, without booting it.
#[derive(Debug)]
pub struct Foreteller {
    platform: Platform,
    release: String,
    options: Options,
    headers: Headers,
}

/// What is known of a kernel's uAPI headers.
#[derive(Debug)]
enum Headers {
    /// What they declare; `None` if they are not at hand, and a run does not have them either.
    Known(Option<Arc<Header>>),
    /// They are made when the kernel is built.
    NotYet,
}

/// What is known of a kernel's configuration.
#[derive(Debug)]
enum Options {
    /// The configuration of a ready kernel.
    Read(BTreeMap<String, String>),
    /// Options that are off in a kernel that is not built yet. What no fragment states is taken to
    /// be on.
    Off(BTreeSet<String>),
}

impl Foreteller {
    /// Prepares to tell for the platform and the kernel of a run. Only what the build turns off is
    /// known of a kernel that is not built yet.
    ///
    /// # Errors
    /// When the file of the platform, a flavour, a fragment or the ready kernel cannot be read, or
    /// no configuration of that kernel is found.
    pub fn new(options: &MachineOptions) -> Result<Self, LabError> {
        let platform = Platform::load(&root().join("vm-images"), &options.platform)?;
        let (release, options, headers) = match options.guest.source() {
            Source::Ready(given) => {
                let facts = vm_images::facts_of(&given)?;
                let config = facts.config.ok_or(LabError::NoConfig)?;
                let headers = Headers::Known(facts.declared);
                (facts.release, Options::Read(config.options), headers)
            }
            source => {
                let series = source.series()?.unwrap_or(REFERENCE_SERIES);
                let stated = options.build()?.stated(series)?;
                // The tables have all that a release of their age has.
                let headers = match source {
                    Source::Tree(_) => Headers::NotYet,
                    _ if series > uapi::SERIES => Headers::NotYet,
                    _ => Headers::Known(None),
                };
                (series.to_string(), Options::Off(off(&stated)), headers)
            }
        };
        Ok(Self {
            platform,
            release,
            options,
            headers,
        })
    }

    /// Returns the need that makes a case a SKIP.
    pub fn skip(&self, case: &Case) -> Option<String> {
        let config = match &self.options {
            Options::Read(config) => config.clone(),
            Options::Off(off) => {
                let needed = case.needs.config().iter().map(String::as_str);
                let options = needed
                    .chain(OPTIONS_OF_CALLS)
                    .chain(relevant(&self.platform));
                let on = options.filter(|option| !off.contains(*option));
                on.map(|option| (option.to_owned(), "y".to_owned()))
                    .collect()
            }
        };
        let mut guest = promised(&self.platform, &BTreeMap::new(), &config);
        guest.release.clone_from(&self.release);
        if let Headers::Known(declared) = &self.headers {
            guest.declared.clone_from(declared);
        }
        let need = self.platform.compile(case, &guest).err();
        let may_be_there = |need: &String| {
            matches!(self.headers, Headers::NotYet) && need.starts_with(NOT_DECLARED)
        };
        need.filter(|need| !may_be_there(need))
    }
}

/// An option that Kconfig offers only where vfio's own container is off.
const CONTAINER_OF_IOMMUFD: &str = "CONFIG_IOMMUFD_VFIO_CONTAINER";
/// The driver of the flavour `pins`, which its patch adds: no release of Linux has it.
const PINNING_DEVICE: &str = "CONFIG_SAMPLE_VFIO_MDEV_MDPIN";

/// The options that are off in a kernel of which fragments state these.
fn off(stated: &BTreeMap<String, String>) -> BTreeSet<String> {
    let is_off = |(_, value): &(&String, &String)| value.as_str() == "n";
    let mut off: BTreeSet<_> = stated
        .iter()
        .filter(is_off)
        .map(|(name, _)| name.clone())
        .collect();
    for unless_stated in [CONTAINER_OF_IOMMUFD, PINNING_DEVICE] {
        if !stated.contains_key(unless_stated) {
            off.insert(unless_stated.to_owned());
        }
    }
    off
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::sync::LazyLock;

    use rstest::rstest;

    use super::*;

    fn skips(flavour: &str) -> BTreeMap<String, usize> {
        skips_on("intel", flavour)
    }

    fn skips_on(platform: &str, flavour: &str) -> BTreeMap<String, usize> {
        static CORPUS: LazyLock<case::Corpus> =
            LazyLock::new(|| crate::lab::load_corpus(&crate::options::cases_folder()).unwrap());
        let mut options = MachineOptions::default();
        options.guest.flavour = flavour.to_owned();
        options.platform = platform.to_owned();
        let foreteller = Foreteller::new(&options).unwrap();
        let mut skips = BTreeMap::new();
        for need in CORPUS.cases.iter().filter_map(|case| foreteller.skip(case)) {
            *skips.entry(need).or_insert(0) += 1;
        }
        skips
    }

    #[rstest]
    #[case::container("container", "CONFIG_VFIO_CONTAINER")]
    #[case::cdev_only("cdev-only", "CONFIG_VFIO_GROUP")]
    #[case::no_mock("no-mock", "CONFIG_IOMMUFD_TEST")]
    fn a_flavour_skips_only_what_names_an_option_that_it_lacks(
        #[case] flavour: &str,
        #[case] option: &str,
    ) {
        let usual = skips("default");
        let mut own = skips(flavour);
        own.retain(|need, _| !usual.contains_key(need));
        assert!(own.keys().any(|need| need.contains(option)), "{own:?}");
        assert!(own.keys().all(|need| need.contains("CONFIG_")), "{own:?}");
    }

    #[rstest]
    fn each_platform_skips_what_it_did(
        #[values("intel", "virtio", "amd", "intel-scalable", "intel-flts")] platform: &str,
    ) {
        assert_skips(platform, "default");
    }

    #[rstest]
    fn each_flavour_skips_what_it_did(
        #[values(
            "container",
            "cdev-only",
            "no-mock",
            "debug",
            "kcsan",
            "size",
            "pins",
            "coverage"
        )]
        flavour: &str,
    ) {
        assert_skips("intel", flavour);
    }

    /// Compares the numbers of cases by need with the stored ones.
    fn assert_skips(platform: &str, flavour: &str) {
        let skips = skips_on(platform, flavour);
        let lines = skips
            .iter()
            .map(|(need, count)| format!("{count:>5}  {need}"));
        let text = lines.collect::<Vec<_>>().join("\n");
        insta::assert_snapshot!(format!("skips_{platform}_{flavour}"), text);
    }
}
