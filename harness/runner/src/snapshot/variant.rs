//! For which platforms and kernel series a section is.

use std::{fmt, str::FromStr};

use vm_images::Series;

/// The platform whose transcripts are the general ones.
pub const REFERENCE_PLATFORM: &str = "intel";
/// The kernel series whose transcripts are the general ones.
pub const REFERENCE_SERIES: Series = Series { major: 7, minor: 3 };

/// For what a section is: general, or for a platform, a series, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Variant {
    /// A platform other than the reference.
    pub platform: Option<String>,
    /// A series other than the reference.
    pub series: Option<Series>,
}

impl Variant {
    /// What holds where nothing special does.
    pub const GENERAL: Self = Self {
        platform: None,
        series: None,
    };

    /// What a run on this platform sees. Nothing is special about the reference.
    pub fn of(platform: &str, series: Series) -> Self {
        Self {
            platform: (platform != REFERENCE_PLATFORM).then(|| platform.to_owned()),
            series: (series != REFERENCE_SERIES).then_some(series),
        }
    }

    /// What holds for it, from the special to the general: the first that is stored counts.
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

    /// Whether it names the reference: what holds there is general.
    pub fn names_reference(&self) -> bool {
        self.platform.as_deref() == Some(REFERENCE_PLATFORM)
            || self.series == Some(REFERENCE_SERIES)
    }
}

/// `@PLATFORM`, `@SERIES` or `@PLATFORM-SERIES`; nothing for the general one.
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

/// Reads what stands behind the `@`.
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

/// The text names no platform and no series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoVariant;

/// Only as it is written: `7.03` would name the same series a second time.
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
    // Such a platform is not known, and that is what a check says.
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
