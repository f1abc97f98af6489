//! Fragments of kernel configuration: reads and merges them, and compares them with the result.

use std::collections::BTreeMap;

use crate::error::{ImageError, Mismatch};
use crate::flavour::Fragment;
use uapi::Series;

/// An option of a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Setting {
    /// Name, with `CONFIG_`.
    pub(crate) name: String,
    /// `y`, a number, a quoted text, or `n` for unset.
    pub(crate) value: String,
    /// Name of its fragment, for messages.
    file: String,
    /// Whether the user gave that fragment.
    pub(crate) of_user: bool,
    since: Option<Series>,
    until: Option<Series>,
    /// The value that cases need of a kernel that somebody else built.
    pub(crate) required: Option<String>,
}

impl Setting {
    /// Whether the series has the option.
    fn applies(&self, series: Series) -> bool {
        self.since.is_none_or(|since| since <= series)
            && self.until.is_none_or(|until| series <= until)
    }

    /// Returns the option as a line of a .config.
    fn line(&self) -> String {
        if self.value == "n" {
            format!("# {} is not set", self.name)
        } else {
            format!("{}={}", self.name, self.value)
        }
    }
}

/// Returns the options of fragments that apply to a series. Each stands there once, with the value
/// of the last fragment that has it.
pub(crate) fn settings_for<'a>(
    series: Series,
    fragments: impl IntoIterator<Item = &'a Fragment>,
) -> Result<Vec<Setting>, ImageError> {
    let mut all: Vec<Setting> = Vec::new();
    for fragment in fragments {
        let settings = parse(fragment)?;
        for setting in settings.into_iter().filter(|it| it.applies(series)) {
            match all.iter_mut().find(|had| had.name == setting.name) {
                Some(had) => *had = setting,
                None => all.push(setting),
            }
        }
    }
    Ok(all)
}

/// Checks the syntax of a fragment.
pub(crate) fn check(fragment: &Fragment) -> Result<(), ImageError> {
    parse(fragment).map(|_| ())
}

/// Returns the options of one fragment.
fn parse(fragment: &Fragment) -> Result<Vec<Setting>, ImageError> {
    let mut settings = Vec::new();
    let (mut since, mut until, mut required) = (None, None, None);
    for (index, line) in fragment.text.lines().enumerate() {
        let line = line.trim();
        let wrong = |_| ImageError::FragmentSyntax {
            file: fragment.name.clone(),
            line: index + 1,
            text: line.to_owned(),
        };
        if let Some(series) = directive(line, "since").map_err(wrong)? {
            since = Some(series);
        } else if let Some(series) = directive(line, "until").map_err(wrong)? {
            until = Some(series);
        } else if let Some(needed) = need(line) {
            required = Some(needed);
        } else if let Some((name, value)) = option(line).filter(|(_, value)| is_value(value)) {
            settings.push(Setting {
                name: name.to_owned(),
                value: value.to_owned(),
                file: fragment.name.clone(),
                of_user: fragment.of_user,
                since: since.take(),
                until: until.take(),
                required: match required.take() {
                    Some(Need::Any) => None,
                    Some(Need::This) => Some(value.to_owned()),
                    Some(Need::Set) => Some("y".to_owned()),
                    None => (value != "n").then(|| value.to_owned()),
                },
            });
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(wrong(()));
        }
    }
    Ok(settings)
}

/// Returns the series of a `# since 6.19` line. A comment that only starts in the same way is not
/// one.
fn directive(line: &str, word: &str) -> Result<Option<Series>, ()> {
    let mut words = line.split_whitespace();
    let starts = words.next() == Some("#") && words.next() == Some(word);
    match (starts, words.next(), words.next()) {
        (true, Some(series), None) => Ok(Some(series.parse().map_err(drop)?)),
        _ => Ok(None),
    }
}

/// What cases need of an option.
enum Need {
    /// Nothing.
    Any,
    /// The value in the fragment.
    This,
    /// That it is set, although it is not in the fragment.
    Set,
}

/// Returns what a line such as `# required` or `# optional` says that cases need of an option.
fn need(line: &str) -> Option<Need> {
    match line {
        "# optional" => Some(Need::Any),
        "# required" => Some(Need::This),
        "# required y" => Some(Need::Set),
        _ => None,
    }
}

/// Returns name and value of a `CONFIG_X=VALUE` line.
pub(crate) fn split(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once('=')?;
    let rest = name.strip_prefix("CONFIG_")?;
    let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
    (!rest.is_empty() && rest.chars().all(known) && !value.is_empty()).then_some((name, value))
}

/// Whether Kconfig takes a text as a value: a letter, a number, or a quoted text.
fn is_value(text: &str) -> bool {
    let digits = |text: &str, of: fn(&u8) -> bool| !text.is_empty() && text.bytes().all(|b| of(&b));
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, u8::is_ascii_hexdigit),
        None => {
            let quoted = text.len() >= 2 && text.starts_with('"') && text.ends_with('"');
            let number = text.strip_prefix('-').unwrap_or(text);
            matches!(text, "y" | "m" | "n") || quoted || digits(number, u8::is_ascii_digit)
        }
    }
}

/// Returns the .config with the settings, which replace its own lines for the same options.
pub(crate) fn merge(config: &str, settings: &[Setting]) -> String {
    let wanted: BTreeMap<&str, &Setting> = settings.iter().map(|s| (s.name.as_str(), s)).collect();
    let mut merged = String::with_capacity(config.len());
    for line in config.lines() {
        if !option(line).is_some_and(|(name, _)| wanted.contains_key(name)) {
            merged.push_str(line);
            merged.push('\n');
        }
    }
    for setting in wanted.values() {
        merged.push_str(&setting.line());
        merged.push('\n');
    }
    merged
}

/// Returns the option that a line of a .config or a fragment sets, and its value.
fn option(line: &str) -> Option<(&str, &str)> {
    let unset = line.strip_prefix("# CONFIG_").and_then(|rest| {
        rest.strip_suffix(" is not set")?;
        let line = line.strip_prefix("# ")?;
        Some((line.strip_suffix(" is not set")?, "n"))
    });
    unset.or_else(|| split(line))
}

/// Returns the settings that the .config does not have.
pub(crate) fn mismatches(config: &str, settings: &[Setting]) -> Vec<Mismatch> {
    let actual: BTreeMap<&str, &str> = config.lines().filter_map(split).collect();
    let compare = |setting: &Setting| {
        let is = actual.get(setting.name.as_str()).copied().unwrap_or("n");
        (is != setting.value).then(|| Mismatch {
            name: setting.name.clone(),
            file: setting.file.clone(),
            wanted: setting.value.clone(),
            actual: is.to_owned(),
        })
    };
    settings.iter().filter_map(compare).collect()
}

/// Returns the settings as text, which is a part of the cache key.
pub(crate) fn text(settings: &[Setting]) -> String {
    settings.iter().map(|s| s.line() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const OLD: Series = Series {
        major: 6,
        minor: 12,
    };
    const NEW: Series = Series { major: 7, minor: 3 };

    fn fragment(name: &str, text: &str) -> Fragment {
        Fragment {
            name: name.to_owned(),
            text: text.to_owned(),
            of_user: false,
        }
    }

    fn settings(text: &str, series: Series) -> Vec<Setting> {
        let mut all = parse(&fragment("test", text)).unwrap();
        all.retain(|s| s.applies(series));
        all
    }

    #[test]
    fn own_fragments_are_well_formed() {
        let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in crate::Flavour::names(own) {
            let flavour = crate::Flavour::load(own, &name).unwrap();
            for series in [OLD, NEW] {
                let all = settings_for(series, &flavour.fragments).unwrap();
                let iommufd = |it: &Setting| it.name == "CONFIG_IOMMUFD" && it.value == "y";
                assert!(all.iter().any(iommufd), "{name}");
            }
        }
    }

    #[rstest]
    #[case("# since 6.19\nCONFIG_A=y\nCONFIG_B=y\n", OLD, &["CONFIG_B"])]
    #[case("# since 6.19\nCONFIG_A=y\nCONFIG_B=y\n", NEW, &["CONFIG_A", "CONFIG_B"])]
    #[case("# until 6.12\n# why\nCONFIG_A=y\n", OLD, &["CONFIG_A"])]
    #[case("# until 6.12\nCONFIG_A=y\n", NEW, &[])]
    #[case("# since 6.0\n# until 6.11\nCONFIG_A=y\n", OLD, &[])]
    #[case("# since then we need it\nCONFIG_A=y\n", OLD, &["CONFIG_A"])]
    fn bounds_options(#[case] text: &str, #[case] series: Series, #[case] want: &[&str]) {
        let names: Vec<String> = settings(text, series).into_iter().map(|s| s.name).collect();
        assert_eq!(names, want);
    }

    #[rstest]
    #[case("CONFIG_A")]
    #[case("A=y")]
    #[case("CONFIG_=y")]
    #[case("CONFIG_A=")]
    #[case("CONFIG A=y")]
    #[case("CONFIG_A=y garbage")]
    #[case("CONFIG_A=yes")]
    #[case("CONFIG_A=0x")]
    #[case("CONFIG_A=\"open")]
    fn rejects(#[case] line: &str) {
        let error = parse(&fragment("f.config", &format!("# head\n{line}\n"))).unwrap_err();
        assert!(
            error.to_string().starts_with("f.config, line 2:"),
            "{error}"
        );
    }

    #[rstest]
    #[case("y", true)]
    #[case("m", true)]
    #[case("-1", true)]
    #[case("0xdead000000000000", true)]
    #[case("\"a b\"", true)]
    #[case("\"", false)]
    #[case("-", false)]
    #[case("1y", false)]
    fn tells_a_value(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(is_value(text), expected);
    }

    #[test]
    fn rejects_a_bad_series() {
        let error = parse(&fragment("f", "# since six\nCONFIG_A=y\n")).unwrap_err();
        assert!(
            error.to_string().starts_with("f, line 1: `# since six`"),
            "{error}"
        );
    }

    #[test]
    fn merge_replaces_what_was_said() {
        let config = "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=3\nCONFIG_AB=y\n";
        let merged = merge(
            config,
            &settings("CONFIG_A=n\nCONFIG_B=y\nCONFIG_D=\"x\"\n", NEW),
        );
        let want = "CONFIG_C=3\nCONFIG_AB=y\n# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_D=\"x\"\n";
        assert_eq!(merged, want);
    }

    #[test]
    fn finds_what_did_not_stick() {
        let wanted = settings(
            "CONFIG_A=y\nCONFIG_B=n\nCONFIG_C=n\nCONFIG_D=4\nCONFIG_E=y\n",
            NEW,
        );
        let found = mismatches(
            "CONFIG_A=y\nCONFIG_C=y\nCONFIG_D=2\n# CONFIG_E is not set\n",
            &wanted,
        );
        let lines: Vec<String> = found.iter().map(Mismatch::to_string).collect();
        assert_eq!(
            lines,
            [
                "CONFIG_C: wanted n, is y (test)",
                "CONFIG_D: wanted 4, is 2 (test)",
                "CONFIG_E: wanted y, is n (test)"
            ]
        );
    }
}
