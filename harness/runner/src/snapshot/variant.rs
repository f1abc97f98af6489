//! The platforms and kernel series that a section is for.

use std::{fmt, str::FromStr};

use vm_images::Series;

/// The platform of the general transcripts.
pub const REFERENCE_PLATFORM: &str = "intel";
/// The kernel series of the general transcripts.
pub const REFERENCE_SERIES: Series = uapi::SERIES;

/// What a section is for: everything (general), or a platform, a series, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// A platform other than the reference.
    pub platform: Option<String>,
    /// A series other than the reference.
    pub series: Option<Series>,
}

impl Variant {
    /// The general variant, which is used if no special one matches.
    pub const GENERAL: Self = Self {
        platform: None,
        series: None,
    };

    /// Returns the variant of a run on this platform and series. That of the reference is general.
    pub fn of(platform: &str, series: Series) -> Self {
        Self {
            platform: (platform != REFERENCE_PLATFORM).then(|| platform.to_owned()),
            series: (series != REFERENCE_SERIES).then_some(series),
        }
    }

    /// Returns the variants to look up, from the special to the general. The first that is stored
    /// is used.
    pub fn fallbacks(&self) -> [Self; 4] {
        let platform_only = Self {
            series: None,
            ..self.clone()
        };
        let series_only = Self {
            platform: None,
            ..self.clone()
        };
        [self.clone(), platform_only, series_only, Self::GENERAL]
    }

    /// Whether it names the reference platform or series, whose sections should be general.
    pub fn names_reference(&self) -> bool {
        self.platform.as_deref() == Some(REFERENCE_PLATFORM)
            || self.series == Some(REFERENCE_SERIES)
    }
}

/// Writes `@PLATFORM`, `@SERIES` or `@PLATFORM-SERIES`, or nothing for the general variant.
impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.platform, self.series) {
            (None, None) => Ok(()),
            (Some(platform), None) => write!(f, "@{platform}"),
            (None, Some(series)) => write!(f, "@{series}"),
            (Some(platform), Some(series)) => write!(f, "@{platform}-{series}"),
        }
    }
}

/// Parses the text after the `@`.
impl FromStr for Variant {
    type Err = NoVariant;

    fn from_str(text: &str) -> Result<Self, NoVariant> {
        let (platform, series) = match (series(text), text.rsplit_once('-')) {
            (Some(series), _) => (None, Some(series)),
            (None, Some((platform, last))) if series(last).is_some() => {
                (Some(platform), series(last))
            }
            (None, _) => (Some(text), None),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains(['@', ' ', '\t']);
        if !platform.is_none_or(is_name) {
            return Err(NoVariant);
        }
        let platform = platform.map(str::to_owned);
        Ok(Self { platform, series })
    }
}

/// The text does not name a platform or a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoVariant;

/// Parses a series in its canonical form only: `7.03` would be a second name of the same series.
fn series(text: &str) -> Option<Series> {
    let series: Series = text.parse().ok()?;
    (series.to_string() == text).then_some(series)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("intel", "7.3.4", &[""])]
    #[case("virtio", "7.3.4-1~bpo", &["@virtio", ""])]
    #[case("intel", "6.12.95", &["@6.12", ""])]
    #[case("intel-flts", "6.12.95", &["@intel-flts-6.12", "@intel-flts", "@6.12", ""])]
    fn a_run_falls_back_from_the_special_to_the_general(
        #[case] platform: &str,
        #[case] release: &str,
        #[case] wanted: &[&str],
    ) {
        let own = Variant::of(platform, Series::of_release(release).unwrap());
        let mut found: Vec<String> = Vec::new();
        for variant in own.fallbacks().map(|variant| variant.to_string()) {
            if !found.contains(&variant) {
                found.push(variant);
            }
        }
        assert_eq!(found, wanted);
    }

    #[rstest]
    #[case("virtio", Some("virtio"), None)]
    #[case("6.12", None, Some((6, 12)))]
    #[case("intel-flts-6.12", Some("intel-flts"), Some((6, 12)))]
    // These parse as names of platforms; the check then reports unknown platforms.
    #[case("virtio-6.012", Some("virtio-6.012"), None)]
    #[case("virtio-6", Some("virtio-6"), None)]
    #[case("6.12.1", Some("6.12.1"), None)]
    fn a_variant_is_read_as_it_is_written(
        #[case] text: &str,
        #[case] platform: Option<&str>,
        #[case] series: Option<(u32, u32)>,
    ) {
        let read: Variant = text.parse().unwrap();
        assert_eq!(read.platform.as_deref(), platform);
        assert_eq!(read.series.map(|it| (it.major, it.minor)), series);
        assert_eq!(read.to_string(), format!("@{text}"));
    }

    #[rstest]
    #[case("")]
    #[case("-6.12")]
    #[case("vir tio")]
    #[case("virtio@6.12")]
    fn what_names_nothing_is_refused(#[case] text: &str) {
        assert_eq!(text.parse::<Variant>(), Err(NoVariant));
    }
}
