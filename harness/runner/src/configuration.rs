//! The configuration of a kernel that somebody else built, and what cases miss in it.

use std::{collections::BTreeSet, fmt};

use case::Corpus;
use serde::{Deserialize, Serialize};
use vm_images::{Image, ImageError, KernelConfig, Required, Series, required};

use crate::options::vm_images_folder;

/// What is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Where it was found; `None` if it was not, and the guest has to show it.
    pub place: Option<String>,
    /// Options that cases need and that it lacks, as lines of a fragment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
}

impl Configuration {
    /// Compares the configuration of an image with what the cases need.
    pub fn new(image: &Image, corpus: &Corpus) -> Result<Self, ImageError> {
        let lacking = match &image.config {
            Some(config) => lacking(corpus, series_of(&image.release), Some(config))?,
            None => Vec::new(),
        };
        Ok(Self {
            place: image.config.as_ref().map(|config| config.place.clone()),
            lacking: lacking.iter().map(Required::to_string).collect(),
        })
    }
}

/// In one line.
impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.place, self.lacking.len()) {
            (None, _) => f.write_str(
                "not found, so that of the guest counts, if it has /proc/config.gz; \
                 --config FILE gives it, or --package one more package (Debian's linux-base-RELEASE)",
            ),
            (Some(place), 0) => f.write_str(place),
            (Some(place), count) => {
                let options = if count == 1 { "option" } else { "options" };
                write!(
                    f,
                    "{place}; it lacks {count} {options} that cases need, which \
                     --print-config-fragment prints"
                )
            }
        }
    }
}

/// The series of a release. One that cannot be read is taken for that of the uAPI's tables.
fn series_of(release: &str) -> Series {
    Series::of_release(release).unwrap_or(uapi::SERIES)
}

/// Returns the options that cases need of a kernel of this series, without those that the
/// configuration has.
fn lacking(
    corpus: &Corpus,
    series: Series,
    config: Option<&KernelConfig>,
) -> Result<Vec<Required>, ImageError> {
    let cases = corpus.cases.iter();
    let admitted = cases.filter(|case| case.needs.admits(Some(series)));
    let options: BTreeSet<_> = admitted.flat_map(|case| case.needs.config()).collect();
    let all = required(
        &vm_images_folder(),
        series,
        options.iter().map(|it| it.as_str()),
    )?;
    let missing = |option: &Required| config.is_none_or(|config| !option.is_met_by(config));
    Ok(all.into_iter().filter(missing).collect())
}

/// Returns a fragment for `merge_config.sh` with the options that cases need, without those that
/// the configuration has.
pub fn fragment(
    corpus: &Corpus,
    release: &str,
    config: Option<&KernelConfig>,
) -> Result<String, ImageError> {
    let series = series_of(release);
    let lacking = lacking(corpus, series, config)?;
    let mut text = match config {
        None => format!("# What the cases need of Linux {series}."),
        Some(config) => format!(
            "# What the cases need of Linux {series} and the configuration lacks ({}).",
            config.place
        ),
    };
    text.push_str(" To merge it into the\n# configuration of a build:\n");
    text.push_str("#     scripts/kconfig/merge_config.sh .config THIS-FILE\n");
    for option in lacking {
        text.push_str(&format!("{option}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{lab::load_corpus, options::cases_folder};

    fn config(options: &[(&str, &str)]) -> KernelConfig {
        let options = options.iter();
        KernelConfig {
            place: "/boot/config-7.3.4".to_owned(),
            version: "7.3.4".to_owned(),
            options: options
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }

    #[rstest]
    #[case(None, 0, "not found, so that of the guest counts")]
    #[case(Some("/x"), 0, "/x")]
    #[case(Some("/x"), 1, "/x; it lacks 1 option that cases need")]
    #[case(Some("/x"), 12, "/x; it lacks 12 options that cases need")]
    fn it_is_one_line(#[case] place: Option<&str>, #[case] count: usize, #[case] says: &str) {
        let configuration = Configuration {
            place: place.map(str::to_owned),
            lacking: vec!["CONFIG_A=y".to_owned(); count],
        };
        let text = configuration.to_string();
        assert!(text.starts_with(says) && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_fragment_has_what_is_missing_and_what_only_cases_name() {
        let corpus = load_corpus(&cases_folder()).unwrap();
        let all = fragment(&corpus, "7.3.4", None).unwrap();
        let config = config(&[("CONFIG_IOMMUFD", "m"), ("CONFIG_STRICT_DEVMEM", "y")]);
        let missing = fragment(&corpus, "7.3.4", Some(&config)).unwrap();
        let has = |text: &str, line: &str| text.lines().any(|it| it == line);
        for (line, left) in [
            ("CONFIG_IOMMUFD=y", false),
            ("CONFIG_VFIO=y", true),
            ("CONFIG_IOMMUFD_NOIOMMU=y", true),
            ("# CONFIG_STRICT_DEVMEM is not set", true),
        ] {
            assert!(has(&all, line), "{line}: {all}");
            assert_eq!(has(&missing, line), left, "{line}: {missing}");
        }
    }
}
