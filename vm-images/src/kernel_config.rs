//! A kernel's configuration, as a whole.

use std::{collections::BTreeMap, fmt};

use uapi::Series;

use crate::fragment;

/// The most options that a message names.
const SHOWN: usize = 5;

/// The configuration of a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelConfig {
    /// Where it was found, such as `/boot/config-7.3.4`.
    pub place: String,
    /// The version in its head, such as `7.3.4`.
    pub version: String,
    /// The options that are set, with `CONFIG_`.
    pub options: BTreeMap<String, String>,
}

impl KernelConfig {
    /// Reads a .config as kconfig writes it. The error says what is missing.
    pub(crate) fn parse(text: &str, place: &str) -> Result<Self, String> {
        let head = text.lines().find_map(head);
        let (arch, version) = head.ok_or(
            "it has no line `# Linux/x86 VERSION Kernel Configuration`, so it is a part of one, or \
             another file",
        )?;
        if !matches!(arch, "x86" | "x86_64") {
            return Err(format!("it is of the architecture {arch}"));
        }
        let set = text.lines().filter_map(fragment::split);
        let options: BTreeMap<_, _> = set
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        if options.is_empty() {
            return Err("it sets no option".to_owned());
        }
        Ok(Self {
            place: place.to_owned(),
            version: version.to_owned(),
            options,
        })
    }

    /// The series of its version.
    pub fn series(&self) -> Option<Series> {
        Series::of_release(&self.version)
    }

    /// Whether it can be the configuration of a kernel of this release. The head has the version
    /// of the source; the release adds to it, or is the name of an ABI such as `6.1.0-40-amd64`,
    /// which Debian and Ubuntu keep while the source moves on to 6.1.153.
    pub fn is_of(&self, release: &str) -> bool {
        let exact = release.strip_prefix(&self.version).is_some_and(|rest| {
            let longer = rest.starts_with(|next: char| next.is_ascii_digit() || next == '.');
            !longer && !rest.starts_with("-rc")
        });
        exact || self.is_of_abi(release)
    }

    fn is_of_abi(&self, release: &str) -> bool {
        let Some(series) = self.series() else {
            return false;
        };
        let number = release.strip_prefix(&format!("{series}.0-"));
        number.is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
            && self.version.starts_with(&format!("{series}."))
    }

    /// Returns how another configuration differs from this one, or `None` if they agree.
    pub fn difference(&self, other: &BTreeMap<String, String>) -> Option<String> {
        let names = self.options.keys().chain(other.keys());
        let differs = |name: &&String| self.options.get(*name) != other.get(*name);
        let mut names: Vec<_> = names.filter(differs).map(String::as_str).collect();
        names.sort_unstable();
        names.dedup();
        let count = names.len();
        let more = count.saturating_sub(SHOWN);
        names.truncate(SHOWN);
        match (count, more) {
            (0, _) => None,
            (_, 0) => Some(names.join(", ")),
            _ => Some(format!("{} and {more} more", names.join(", "))),
        }
    }
}

/// As a .config, without the options that are not set.
impl fmt::Display for KernelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Linux/x86 {} Kernel Configuration", self.version)?;
        let mut options = self.options.iter();
        options.try_for_each(|(name, value)| writeln!(f, "{name}={value}"))
    }
}

/// Returns architecture and version in a line `# Linux/x86 7.3.4 Kernel Configuration`.
fn head(line: &str) -> Option<(&str, &str)> {
    let words = line.strip_prefix("# Linux/")?;
    words.strip_suffix(" Kernel Configuration")?.split_once(' ')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const TEXT: &str = "#\n# Linux/x86 7.3.4 Kernel Configuration\n#\nCONFIG_A=y\nCONFIG_B=m\n\
                        # CONFIG_C is not set\nCONFIG_D=\"a=b\"\n";

    #[test]
    fn reads_what_is_set() {
        let config = KernelConfig::parse(TEXT, "x").unwrap();
        let set: Vec<_> = config
            .options
            .iter()
            .map(|(n, v)| format!("{n}={v}"))
            .collect();
        assert_eq!(set, ["CONFIG_A=y", "CONFIG_B=m", "CONFIG_D=\"a=b\""]);
        assert_eq!(config.series(), Some(Series { major: 7, minor: 3 }));
        assert_eq!(KernelConfig::parse(&config.to_string(), "x"), Ok(config));
    }

    #[rstest]
    #[case("", "no line")]
    #[case("CONFIG_A=y\n", "no line")]
    #[case(
        "# Linux/arm64 7.3.4 Kernel Configuration\nCONFIG_A=y\n",
        "architecture arm64"
    )]
    #[case("# Linux/x86 7.3.4 Kernel Configuration\nhello\n", "sets no option")]
    fn other_files_are_refused(#[case] text: &str, #[case] says: &str) {
        let problem = KernelConfig::parse(text, "x").unwrap_err();
        assert!(problem.contains(says), "{problem}");
    }

    #[rstest]
    #[case("7.3.4", "7.3.4", true)]
    #[case("7.3.4", "7.3.4+deb13-amd64", true)]
    #[case("7.3.4", "7.3.4-200.fc44.x86_64", true)]
    #[case("7.3.0-rc1", "7.3.0-rc1-00012-gabcdef", true)]
    #[case("6.1.153", "6.1.0-40-amd64", true)]
    #[case("6.8.12", "6.8.0-45-generic", true)]
    #[case("7.3.4", "7.3.40", false)]
    #[case("7.3.4", "7.3.5", false)]
    #[case("7.3.4", "7.3.0-rc1", false)]
    #[case("7.3.0", "7.3.0-rc1", false)]
    #[case("6.12.3", "6.1.0-40-amd64", false)]
    #[case("6.1", "6.12.3", false)]
    fn a_release_is_compared_with_the_head(
        #[case] version: &str,
        #[case] release: &str,
        #[case] want: bool,
    ) {
        let text = format!("# Linux/x86 {version} Kernel Configuration\nCONFIG_A=y\n");
        assert_eq!(
            KernelConfig::parse(&text, "x").unwrap().is_of(release),
            want
        );
    }

    #[test]
    fn a_difference_names_options() {
        let config = KernelConfig::parse(TEXT, "x").unwrap();
        assert_eq!(config.difference(&config.options), None);
        let mut other = config.options.clone();
        other.remove("CONFIG_A");
        other.insert("CONFIG_B".to_owned(), "y".to_owned());
        other.insert("CONFIG_E".to_owned(), "y".to_owned());
        let text = config.difference(&other).unwrap();
        assert_eq!(text, "CONFIG_A, CONFIG_B, CONFIG_E");
        other.extend((0..9).map(|n| (format!("CONFIG_F{n}"), "y".to_owned())));
        let text = config.difference(&other).unwrap();
        assert!(text.ends_with("and 7 more"), "{text}");
    }

    proptest! {
        #[test]
        fn never_panics(text in ".{0,200}", release in ".{0,20}") {
            let _ = KernelConfig::parse(&text, "x");
            let config = KernelConfig {
                place: String::new(),
                version: text,
                options: BTreeMap::new(),
            };
            let _ = config.is_of(&release);
        }
    }
}
