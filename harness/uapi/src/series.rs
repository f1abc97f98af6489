//! Kernel series, such as 6.12.

use std::{fmt, str::FromStr};

/// The two numbers that name a kernel series. 6.9 comes before 6.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Series {
    /// Returns the series of a release, such as 6.12.95-1 or 7.3.0-rc1+.
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl FromStr for Series {
    type Err = BadSeries;

    fn from_str(text: &str) -> Result<Self, BadSeries> {
        let bad = || BadSeries(text.to_owned());
        let (major, minor) = text.split_once('.').ok_or_else(bad)?;
        let series = Self {
            major: major.parse().map_err(|_| bad())?,
            minor: minor.parse().map_err(|_| bad())?,
        };
        // Numbers would also be parsed from +12 and 012.
        (series.to_string() == text)
            .then_some(series)
            .ok_or_else(bad)
    }
}

/// A text that does not name a kernel series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSeries(pub String);

impl fmt::Display for BadSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is not a kernel series; give two numbers, such as 6.12"
        )
    }
}

impl std::error::Error for BadSeries {}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".*") {
            let _ = Series::of_release(&text);
            if let Ok(series) = text.parse::<Series>() {
                prop_assert_eq!(series.to_string().parse(), Ok(series));
            }
        }
    }

    #[rstest]
    #[case("6.12", Some((6, 12)))]
    #[case("7.3", Some((7, 3)))]
    #[case("7", None)]
    #[case("6.12.1", None)]
    #[case("+6.12", None)]
    #[case("06.12", None)]
    #[case("x.y", None)]
    #[case("", None)]
    fn parses(#[case] text: &str, #[case] want: Option<(u32, u32)>) {
        let got = text.parse::<Series>().ok().map(|s| (s.major, s.minor));
        assert_eq!(got, want);
    }

    #[rstest]
    #[case("6.12.95-1", Some((6, 12)))]
    #[case("7.3.0-rc1+", Some((7, 3)))]
    #[case("7.3-rc1", Some((7, 3)))]
    #[case("bzImage", None)]
    fn reads_a_release(#[case] text: &str, #[case] want: Option<(u32, u32)>) {
        assert_eq!(Series::of_release(text).map(|s| (s.major, s.minor)), want);
    }

    #[test]
    fn orders_by_number() {
        let mut all: Vec<Series> = ["6.12", "7.0", "6.9"]
            .iter()
            .map(|s| s.parse().unwrap())
            .collect();
        all.sort();
        let text: Vec<String> = all.iter().map(Series::to_string).collect();
        assert_eq!(text, ["6.9", "6.12", "7.0"]);
    }
}
