//! What a platform and the configuration of its kernel promise: groups, devices, nodes and features.
//!
//! A need of a case that was promised and is not met is a failure of the kernel, not a SKIP.

use std::collections::BTreeMap;

use case::{Case, Guest, OfferedGroup, Shape};

use crate::{inventory, platform::Platform, runnable::with_domains};

/// The option that gives mediated devices a group.
const GROUPS: &str = "CONFIG_VFIO_GROUP";
/// Id of the record of what is missing without being in the list of promises.
const OTHER: &str = "machine/promises";

/// Returns the guest that a platform promises with a kernel that has these options. `lacking` has
/// what the host lacks for a group or a feature, by its name.
pub fn promised(
    platform: &Platform,
    lacking: &BTreeMap<String, String>,
    config: &BTreeMap<String, String>,
) -> Guest {
    let has = |option: &str| config.contains_key(option);
    let mut guest = with_domains(inventory::imagined(platform, []));
    guest.config.clone_from(config);
    for (name, _, why) in wire::FEATURES {
        if options(why).any(|option| !has(option)) {
            let missing = Err((*why).to_owned());
            guest.features.insert((*name).to_owned(), missing);
        }
        if let Some(why) = lacking.get(*name) {
            guest.features.insert((*name).to_owned(), Err(why.clone()));
        }
    }
    for (name, spec) in &platform.devices.groups {
        let of_iommu = match spec.shape.0 {
            shape if shape == Shape::Noiommu || shape.is_mediated() => [].iter(),
            _ => platform.iommu.config.iter(),
        };
        let option = of_iommu.chain(&spec.config).find(|option| !has(option));
        let by_option = option.map(|option| inventory::by_option(option));
        if let Some(why) = lacking.get(name).cloned().or(by_option) {
            guest.groups.retain(|group| group.name != *name);
            guest.missing_groups.insert(spec.shape.0.to_string(), why);
        }
    }
    let mediated = guest.groups.iter_mut().filter(|it| it.shape.is_mediated());
    mediated
        .filter(|_| !has(GROUPS))
        .for_each(|mdev| mdev.number = None);
    guest
}

/// Returns the options of the kernel that decide what a platform promises.
pub fn relevant(platform: &Platform) -> impl Iterator<Item = &str> {
    let of_features = wire::FEATURES.iter().flat_map(|(.., why)| options(why));
    let groups = platform.devices.groups.values();
    let of_groups = groups.flat_map(|spec| &spec.config);
    let of_platform = platform.iommu.config.iter().chain(of_groups);
    let of_platform = of_platform.map(String::as_str);
    of_features.chain(of_platform).chain([GROUPS])
}

/// The options that the reason of a missing feature names.
fn options(why: &str) -> impl Iterator<Item = &str> {
    why.split(['(', ')', ',', ' '])
        .filter(|word| word.starts_with("CONFIG_"))
}

/// What was promised of one guest, and what of it is missing.
#[derive(Debug, Default)]
pub struct Promise {
    guest: Guest,
    broken: Vec<Broken>,
}

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Id of its record.
    pub id: String,
    pub expected: String,
    pub seen: String,
    missing: Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    Group(OfferedGroup),
    Feature(String),
}

impl Promise {
    /// Compares what a guest offers with what was promised. Of a kernel whose configuration is not
    /// known nothing is promised. A module counts only if the image has modules.
    pub fn of(
        platform: &Platform,
        lacking: &BTreeMap<String, String>,
        offered: &Guest,
        has_modules: bool,
    ) -> Self {
        if offered.config.is_empty() {
            return Self {
                guest: offered.clone(),
                broken: Vec::new(),
            };
        }
        let mut config = offered.config.clone();
        config.retain(|_, value| value != "m" || has_modules);
        let mut guest = promised(platform, lacking, &config);
        guest.config.clone_from(&offered.config);
        guest.release.clone_from(&offered.release);
        guest.known_ioctls.clone_from(&offered.known_ioctls);
        guest.declared.clone_from(&offered.declared);
        let mut broken = broken_groups(&guest, offered);
        broken.extend(broken_features(&guest, offered));
        Self { guest, broken }
    }

    /// Returns the promises that were not kept.
    pub fn broken(&self) -> &[Broken] {
        &self.broken
    }

    /// Returns the id of the record that a case waits for because the guest offers less than
    /// promised, or `None` if what it needs was never promised.
    pub fn waits_for(&self, platform: &Platform, case: &Case, offered: &Guest) -> Option<String> {
        platform.compile(case, &self.guest).ok()?;
        let mended = |broken: &&Broken| {
            let guest = broken.mend(offered, &self.guest);
            platform.compile(case, &guest).is_ok()
        };
        // A case may wait for several.
        let first = self.broken.iter().find(mended).or(self.broken.first());
        Some(first.map_or_else(|| OTHER.to_owned(), |broken| broken.id.clone()))
    }
}

impl Broken {
    /// Returns what the guest would offer if this promise was kept.
    fn mend(&self, offered: &Guest, promised: &Guest) -> Guest {
        let mut guest = offered.clone();
        match &self.missing {
            Missing::Feature(name) => {
                guest.features.insert(name.clone(), Ok(()));
            }
            Missing::Group(group) => {
                guest.groups.retain(|it| it.name != group.name);
                guest.groups.push(OfferedGroup {
                    // No other group of the guest has this number.
                    number: group.number.map(|number| u32::MAX - number),
                    ..group.clone()
                });
                guest.missing_groups.clone_from(&promised.missing_groups);
                guest = with_domains(guest);
            }
        }
        guest
    }
}

fn broken_groups(promised: &Guest, offered: &Guest) -> Vec<Broken> {
    let missing = promised.groups.iter().filter_map(|group| {
        let seen = wrong(group, offered)?;
        let devices: Vec<_> = group.devices.iter().map(|it| it.name.as_str()).collect();
        let alone = match group.number {
            Some(_) => "in an IOMMU group of its own",
            None => "without an IOMMU group",
        };
        Some(Broken {
            id: format!("machine/group-{}", group.name),
            expected: format!("{} at {}, {alone}", group.name, devices.join(", ")),
            seen,
            missing: Missing::Group(group.clone()),
        })
    });
    missing.collect()
}

/// Returns what is wrong with the guest's group, if anything is.
fn wrong(promised: &OfferedGroup, offered: &Guest) -> Option<String> {
    let Some(group) = offered.groups.iter().find(|it| it.name == promised.name) else {
        let why = offered.missing_groups.get(&promised.shape.to_string());
        return Some(why.cloned().unwrap_or_else(|| "nothing".to_owned()));
    };
    let shares = |it: &&OfferedGroup| it.name != group.name && it.number == group.number;
    match (promised.number, group.number) {
        (Some(_), Some(number)) => {
            let other = offered.groups.iter().find(shares)?;
            Some(format!(
                "group {number}, which {} is in as well",
                other.name
            ))
        }
        (Some(_), None) => Some("no IOMMU group".to_owned()),
        (None, Some(number)) => Some(format!("group {number}")),
        (None, None) => None,
    }
}

fn broken_features(promised: &Guest, offered: &Guest) -> Vec<Broken> {
    let kept = promised.features.iter().filter(|(_, it)| it.is_ok());
    let missing = kept.filter_map(|(name, _)| {
        let why = offered.features.get(name)?.as_ref().err()?;
        let of_name = |it: &&(&str, &str, &str)| it.0 == name;
        let path = wire::FEATURES.iter().find(of_name).map_or("", |it| it.1);
        Some(Broken {
            id: format!("machine/feature-{}", name.replace('_', "-")),
            expected: format!("{path} with the options that the configuration has"),
            seen: why.clone(),
            missing: Missing::Feature(name.clone()),
        })
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;

    use super::*;
    use crate::{
        lab::load_corpus,
        options::{cases_folder, vm_images_folder},
    };

    fn platform() -> Platform {
        Platform::load(&vm_images_folder(), "intel").unwrap()
    }

    /// A kernel with all options, on a machine that offers what it should.
    fn kept(platform: &Platform) -> Guest {
        let on = relevant(platform).map(|option| (option.to_owned(), "y".to_owned()));
        promised(platform, &BTreeMap::new(), &on.collect())
    }

    fn promise(platform: &Platform, offered: &Guest) -> Promise {
        Promise::of(platform, &BTreeMap::new(), offered, false)
    }

    fn case(id: &str) -> Case {
        let corpus = load_corpus(&cases_folder()).unwrap();
        corpus.cases.into_iter().find(|case| case.id == id).unwrap()
    }

    #[test]
    fn a_machine_as_promised_breaks_nothing() {
        let platform = platform();
        let offered = kept(&platform);
        assert_eq!(promise(&platform, &offered).broken(), []);
    }

    #[rstest]
    #[case::iommufd(
        "iommufd",
        "stage1/bind-again/the-same-iommu_fd/singleton",
        "machine/feature-iommufd"
    )]
    #[case::group_nodes(
        "vfio_group",
        "vfio-group/names/its-name",
        "machine/feature-vfio-group"
    )]
    fn a_missing_feature_fails_for_the_cases_that_wait_for_it(
        #[case] feature: &str,
        #[case] id: &str,
        #[case] record: &str,
    ) {
        let platform = platform();
        let mut offered = kept(&platform);
        let gone = Err("gone".to_owned());
        offered.features.insert(feature.to_owned(), gone);
        let promise = promise(&platform, &offered);
        let case = case(id);
        assert!(platform.compile(&case, &offered).is_err());
        let waits_for = promise.waits_for(&platform, &case, &offered);
        assert_eq!(waits_for.as_deref(), Some(record));
    }

    #[test]
    fn an_option_that_is_not_set_promises_nothing() {
        let platform = platform();
        let mut offered = kept(&platform);
        offered.config.remove("CONFIG_IOMMUFD");
        let gone = Err("gone".to_owned());
        offered.features.insert("iommufd".to_owned(), gone);
        let promise = promise(&platform, &offered);
        assert_eq!(promise.broken(), []);
        let case = case("stage1/bind-again/the-same-iommu_fd/singleton");
        assert_eq!(promise.waits_for(&platform, &case, &offered), None);
    }
}
