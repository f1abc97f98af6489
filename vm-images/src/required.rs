//! The options that cases need of a kernel that somebody else built.

use std::{collections::BTreeSet, fmt, path::Path};

use uapi::Series;

use crate::{error::ImageError, flavour::Flavour, fragment, kernel_config::KernelConfig};

/// An option that a kernel has to have so that every case can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Required {
    /// Name, with `CONFIG_`.
    pub name: String,
    /// `y`, `n` for unset, or another value.
    pub value: String,
}

impl Required {
    /// An option that has to be built in or a module.
    pub fn set(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            value: "y".to_owned(),
        }
    }

    /// Whether a configuration has it. A module is as good as what is built in: the agent loads
    /// what the suite uses.
    pub fn is_met_by(&self, config: &KernelConfig) -> bool {
        match (self.value.as_str(), config.options.get(&self.name)) {
            ("n", actual) => actual.is_none(),
            ("y", Some(actual)) => actual == "y" || actual == "m",
            (wanted, actual) => actual.is_some_and(|actual| actual == wanted),
        }
    }
}

/// As a line of a fragment.
impl fmt::Display for Required {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "n" => write!(f, "# {} is not set", self.name),
            value => write!(f, "{}={value}", self.name),
        }
    }
}

/// Returns the options of the base fragment that cases need of a series, and `more` that are not
/// in it. Those of a flavour are left out: they may exclude others, as the container of iommufd
/// excludes that of vfio.
pub fn required<'a>(
    vm_images: &Path,
    series: Series,
    more: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<Required>, ImageError> {
    let base = Flavour::base(vm_images)?;
    let settings = fragment::settings_for(series, [&base])?;
    let known: BTreeSet<_> = settings
        .iter()
        .map(|setting| setting.name.clone())
        .collect();
    let needed = settings.into_iter().filter_map(|setting| {
        let (name, value) = (setting.name, setting.required?);
        Some(Required { name, value })
    });
    let mut required: Vec<_> = needed.collect();
    let of_flavours = of_flavours(vm_images, series)?;
    let more: BTreeSet<_> = more
        .into_iter()
        .filter(|name| !known.contains(*name) && !of_flavours.contains(*name))
        .collect();
    required.extend(more.into_iter().map(Required::set));
    Ok(required)
}

/// Returns the options that flavours state on top of the base.
fn of_flavours(vm_images: &Path, series: Series) -> Result<BTreeSet<String>, ImageError> {
    let mut names = BTreeSet::new();
    for name in Flavour::names(vm_images) {
        let flavour = Flavour::load(vm_images, &name)?;
        let own = flavour.fragments.iter().skip(1);
        let settings = fragment::settings_for(series, own)?;
        names.extend(settings.into_iter().map(|setting| setting.name));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("y", Some("y"), true)]
    #[case("y", Some("m"), true)]
    #[case("y", None, false)]
    #[case("n", None, true)]
    #[case("n", Some("y"), false)]
    #[case("16", Some("16"), true)]
    #[case("16", Some("8"), false)]
    fn a_module_will_do(#[case] wanted: &str, #[case] actual: Option<&str>, #[case] want: bool) {
        let required = Required {
            name: "CONFIG_A".to_owned(),
            value: wanted.to_owned(),
        };
        let actual = actual.map(|value| ("CONFIG_A".to_owned(), value.to_owned()));
        let config = KernelConfig {
            place: String::new(),
            version: String::new(),
            options: actual.into_iter().collect(),
        };
        assert_eq!(required.is_met_by(&config), want);
    }

    #[test]
    fn what_only_makes_the_suites_own_kernel_small_is_not_needed() {
        let series = Series { major: 7, minor: 3 };
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let more = ["CONFIG_IOMMUFD", "CONFIG_X", "CONFIG_X"];
        let required = required(own, series, more).unwrap();
        let lines: Vec<_> = required.iter().map(Required::to_string).collect();
        for line in [
            "CONFIG_IOMMUFD=y",
            "# CONFIG_STRICT_DEVMEM is not set",
            "CONFIG_IA32_EMULATION=y",
            "CONFIG_INTEL_IOMMU_FLOPPY_WA=y",
            "CONFIG_X=y",
        ] {
            let count = lines.iter().filter(|it| *it == line).count();
            assert_eq!(count, 1, "{line}");
        }
        for name in [
            "CONFIG_MODULES",
            "CONFIG_VMAP_STACK",
            "CONFIG_NR_CPUS",
            "CONFIG_KERNEL_GZIP",
        ] {
            assert!(required.iter().all(|it| it.name != name), "{name}");
        }
    }

    #[test]
    fn what_a_flavour_has_in_place_of_another_option_is_not_needed() {
        let series = Series { major: 7, minor: 3 };
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let required = required(own, series, ["CONFIG_IOMMUFD_VFIO_CONTAINER"]).unwrap();
        let has = |name: &str| required.iter().any(|it| it.name == name);
        assert!(has("CONFIG_VFIO_CONTAINER") && !has("CONFIG_IOMMUFD_VFIO_CONTAINER"));
    }

    #[test]
    fn a_series_has_its_own() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let has = |minor| {
            let series = Series { major: 6, minor };
            let all = required(own, series, []).unwrap();
            all.iter().any(|it| it.name == "CONFIG_IOMMU_PT")
        };
        assert!(!has(12) && has(19));
    }
}
