//! Kernel series, as in 6.12.

use std::fmt;
use std::str::FromStr;

use crate::error::ImageError;

/// The two numbers that name a kernel series. 6.9 comes before 6.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
}

impl Series {
    /// The series of a release, as in 6.12.95-1 or 7.3.0-rc1+.
    #[must_use]
    pub fn of_release(release: &str) -> Option<Self> {
        let mut numbers = release.split(|c: char| !c.is_ascii_digit());
        let major = numbers.next()?.parse().ok()?;
        let minor = numbers.next()?.parse().ok()?;
        Some(Self { major, minor })
    }
}

impl FromStr for Series {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let bad = || ImageError::BadSeries {
            text: text.to_owned(),
        };
        let (major, minor) = text.split_once('.').ok_or_else(bad)?;
        Ok(Self {
            major: major.parse().map_err(|_| bad())?,
            minor: minor.parse().map_err(|_| bad())?,
        })
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("6.12", Some((6, 12)))]
    #[case("7.3", Some((7, 3)))]
    #[case("7", None)]
    #[case("6.12.1", None)]
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
