//! The text of a snapshot file: a section for each transcript.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use super::variant::Variant;

/// First character of a line that names a section. Lines of a transcript that begin with it or with
/// the escape character are escaped.
const MARK: char = '#';
const ESCAPE: char = '\\';
/// Line before and after insta's metadata.
const FENCE: &str = "---";

/// The transcripts of the cases of one file, always in the same order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sections(BTreeMap<String, Variants>);

type Variants = BTreeMap<Variant, String>;

/// The name of a section: a case, and the platforms and series that its transcript is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Section {
    /// Id of the case.
    pub case: String,
    /// Platforms and series that it is for.
    pub variant: Variant,
}

/// What happened to a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It was written.
    Written(Section),
    /// It was removed because an equal section is used without it.
    Removed(Section),
}

/// A syntax error in a snapshot file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {syntax}")]
pub struct Malformed {
    /// Number of the line, from 1.
    pub line: usize,
    /// The error.
    pub syntax: Syntax,
}

/// Kinds of syntax error in a snapshot file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Syntax {
    /// Insta's metadata is missing.
    #[error("a snapshot has to begin with a line `---`")]
    NoMetadata,
    /// The end of insta's metadata is missing.
    #[error("a second line `---` is missing at the end of the metadata")]
    OpenMetadata,
    /// Text before the first section.
    #[error(
        "text before the first section; a section begins with a line `# CASE` or `# CASE \
             @VARIANT`"
    )]
    NoSection,
    /// The name of a section is malformed.
    #[error(
        "`{0}` does not name a section; write `# CASE`, or `# CASE @VARIANT` with PLATFORM, \
         SERIES or PLATFORM-SERIES"
    )]
    BadName(String),
    /// A section appears twice.
    #[error("a second section `{0}`: keep one of them")]
    Twice(Section),
}

impl Sections {
    /// Parses a file.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let lines: Vec<&str> = text.lines().collect();
        let body = metadata_end(&lines)?;
        let mut sections = Self::default();
        let mut open: Option<(Section, Vec<&str>)> = None;
        for (index, line) in lines.iter().enumerate().skip(body) {
            let at = |syntax| Malformed {
                line: index + 1,
                syntax,
            };
            if line.starts_with(MARK) {
                sections.close(open.take());
                let section: Section = line.parse().map_err(at)?;
                if sections.get(&section).is_some() {
                    return Err(at(Syntax::Twice(section)));
                }
                open = Some((section, Vec::new()));
            } else if let Some((_, lines)) = &mut open {
                lines.push(line.strip_prefix(ESCAPE).unwrap_or(line));
            } else if !line.trim().is_empty() {
                return Err(at(Syntax::NoSection));
            }
        }
        sections.close(open);
        Ok(sections)
    }

    fn close(&mut self, open: Option<(Section, Vec<&str>)>) {
        if let Some((Section { case, variant }, lines)) = open {
            let transcript = canonical(&lines.join("\n"));
            self.0.entry(case).or_default().insert(variant, transcript);
        }
    }

    /// Renders the file, with the case file as insta's source. `line` is the line of the case file
    /// that has the case.
    pub fn render(&self, source: &str, line: Option<u32>) -> String {
        let mut text = format!("{FENCE}\nsource: {source}\n");
        if let Some(line) = line {
            text.push_str(&format!("assertion_line: {line}\n"));
        }
        text.push_str(FENCE);
        for (index, (section, transcript)) in self.iter().enumerate() {
            text.push_str(if index == 0 { "\n" } else { "\n\n" });
            text.push_str(&format!("{MARK} {section}"));
            for line in transcript.lines() {
                let escape = line.starts_with([MARK, ESCAPE]);
                text.push('\n');
                text.extend(escape.then_some(ESCAPE));
                text.push_str(line);
            }
        }
        text.push('\n');
        text
    }

    /// Returns every section with its transcript, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (Section, &str)> {
        self.0.iter().flat_map(|(case, variants)| {
            variants.iter().map(|(variant, transcript)| {
                let (case, variant) = (case.clone(), variant.clone());
                (Section { case, variant }, transcript.as_str())
            })
        })
    }

    fn get(&self, section: &Section) -> Option<&str> {
        let variants = self.0.get(&section.case)?;
        variants.get(&section.variant).map(String::as_str)
    }

    /// Returns the stored transcript of a case for a run, and its section.
    pub fn lookup(&self, case: &str, own: &Variant) -> Option<(Section, &str)> {
        let (variant, transcript) = lookup(self.0.get(case)?, own)?;
        let case = case.to_owned();
        Some((Section { case, variant }, transcript))
    }

    /// Stores the transcript of a run in its own section, and removes redundant special sections of
    /// the case.
    pub fn accept(&mut self, case: &str, own: &Variant, transcript: &str) -> Vec<Change> {
        let section = |variant: &Variant| Section {
            case: case.to_owned(),
            variant: variant.clone(),
        };
        let variants = self.0.entry(case.to_owned()).or_default();
        let before = variants.clone();
        let transcript = canonical(transcript);
        if seen(variants, own) != Some(&transcript) {
            variants.insert(own.clone(), transcript);
        }
        remove_redundant(variants);
        let written = variants
            .iter()
            .filter(|(variant, text)| before.get(variant) != Some(text))
            .map(|(variant, _)| Change::Written(section(variant)));
        let removed = before
            .keys()
            .filter(|variant| !variants.contains_key(variant))
            .map(|variant| Change::Removed(section(variant)));
        written.chain(removed).collect()
    }

    /// Returns the redundant special sections: those that equal the section used without them.
    pub fn redundant(&self) -> Vec<Section> {
        let mut kept = self.clone();
        kept.0.values_mut().for_each(remove_redundant);
        let all = self.iter().map(|(section, _)| section);
        all.filter(|section| kept.get(section).is_none()).collect()
    }
}

fn lookup<'a>(variants: &'a Variants, own: &Variant) -> Option<(Variant, &'a str)> {
    let mut found = own.fallbacks().into_iter().filter_map(|variant| {
        let transcript = variants.get(&variant)?;
        Some((variant, transcript.as_str()))
    });
    found.next()
}

/// Repeats until none is left: removing one section may make another one redundant.
fn remove_redundant(variants: &mut Variants) {
    while let Some(redundant) = variants.keys().rev().find(|it| is_redundant(variants, it)) {
        let redundant = redundant.clone();
        variants.remove(&redundant);
    }
}

fn is_redundant(variants: &Variants, variant: &Variant) -> bool {
    let mut without = variants.clone();
    without.remove(variant);
    *variant != Variant::GENERAL
        && runs(variants).all(|own| seen(variants, &own) == seen(&without, &own))
}

fn seen<'a>(variants: &'a Variants, own: &Variant) -> Option<&'a str> {
    lookup(variants, own).map(|(_, transcript)| transcript)
}

/// Returns every kind of run that may use a special section. All others use the reference's
/// section.
fn runs(variants: &Variants) -> impl Iterator<Item = Variant> {
    let platforms: BTreeSet<_> = variants.keys().map(|it| it.platform.clone()).collect();
    let mut series: BTreeSet<_> = variants.keys().map(|it| it.series).collect();
    series.insert(None);
    platforms.into_iter().flat_map(move |platform| {
        let each = |series| Variant {
            platform: platform.clone(),
            series,
        };
        series.clone().into_iter().map(each).collect::<Vec<_>>()
    })
}

/// Returns the number of the first line after insta's metadata.
fn metadata_end(lines: &[&str]) -> Result<usize, Malformed> {
    let is_fence = |line: &&str| line.trim_end() == FENCE;
    if !lines.first().is_some_and(is_fence) {
        let syntax = Syntax::NoMetadata;
        return Err(Malformed { line: 1, syntax });
    }
    let end = lines.iter().skip(1).position(is_fence);
    end.map(|index| index + 2).ok_or(Malformed {
        line: lines.len(),
        syntax: Syntax::OpenMetadata,
    })
}

/// Normalises a transcript as insta does when it writes a file: no carriage returns at the end of
/// lines, and no empty lines at the end.
pub fn canonical(transcript: &str) -> String {
    let lines = transcript.split('\n');
    let lines: Vec<_> = lines.map(|line| line.trim_end_matches('\r')).collect();
    lines.join("\n").trim_end().to_owned()
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.case)?;
        if self.variant != Variant::GENERAL {
            write!(f, " {}", self.variant)?;
        }
        Ok(())
    }
}

/// Parses the line that begins a section.
impl FromStr for Section {
    type Err = Syntax;

    fn from_str(line: &str) -> Result<Self, Syntax> {
        let bad = || Syntax::BadName(line.to_owned());
        let name = line.strip_prefix(MARK).and_then(|it| it.strip_prefix(' '));
        let name = name.ok_or_else(bad)?.trim();
        let (case, variant) = match name.rsplit_once(" @") {
            Some((case, variant)) => (case, variant.parse().map_err(|_| bad())?),
            None => (name, Variant::GENERAL),
        };
        if case.is_empty() {
            return Err(bad());
        }
        let case = case.to_owned();
        Ok(Self { case, variant })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use proptest::{collection, option, prelude::*};
    use rstest::rstest;
    use vm_images::Series;

    use super::*;

    const CASE: &str = "stage2/detach/bridge";

    fn variant(text: &str) -> Variant {
        text.strip_prefix('@')
            .map_or(Variant::GENERAL, |text| text.parse().unwrap())
    }

    /// Returns the sections of one case.
    fn stored(sections: &[(&str, &str)]) -> Sections {
        let each = sections
            .iter()
            .map(|(name, text)| (variant(name), (*text).to_owned()));
        Sections(BTreeMap::from([(CASE.to_owned(), each.collect())]))
    }

    fn shown(sections: &Sections) -> Vec<(String, String)> {
        let each = sections.iter();
        each.map(|(section, text)| (section.variant.to_string(), text.to_owned()))
            .collect()
    }

    #[test]
    fn a_file_is_read_as_it_looks() {
        let mut sections = stored(&[
            (
                "",
                "12 read uevent: success `A=1\n# B\n\n\\n`\n13 close a: success",
            ),
            ("@virtio", ""),
            ("@virtio-6.12", "12 read uevent: EIO"),
        ]);
        sections.accept(
            "stage2/detach/functions",
            &Variant::GENERAL,
            " 1 x: success\n",
        );
        let text = sections.render("cases/stage2/detach.yaml", Some(7));
        insta::assert_snapshot!(text, @r"
        ---
        source: cases/stage2/detach.yaml
        assertion_line: 7
        ---
        # stage2/detach/bridge
        12 read uevent: success `A=1
        \# B

        \\n`
        13 close a: success

        # stage2/detach/bridge @virtio

        # stage2/detach/bridge @virtio-6.12
        12 read uevent: EIO

        # stage2/detach/functions
         1 x: success
        ");
        assert_eq!(Sections::parse(&text), Ok(sections));
    }

    #[rstest]
    #[case::nothing("", 1, Syntax::NoMetadata)]
    #[case::other_text("# a\n", 1, Syntax::NoMetadata)]
    #[case::open_metadata("---\nsource: a\n# a\n", 3, Syntax::OpenMetadata)]
    #[case::no_section("---\n---\n\n 1 open\n", 4, Syntax::NoSection)]
    #[case::no_name("---\n---\n#\n", 3, Syntax::BadName("#".to_owned()))]
    #[case::no_space("---\n---\n# a\n#b\n", 4, Syntax::BadName("#b".to_owned()))]
    #[case::no_variant("---\n---\n# a @\n", 3, Syntax::BadName("# a @".to_owned()))]
    fn a_malformed_file_is_refused_with_its_line(
        #[case] text: &str,
        #[case] line: usize,
        #[case] syntax: Syntax,
    ) {
        assert_eq!(Sections::parse(text), Err(Malformed { line, syntax }));
    }

    #[test]
    fn a_section_is_there_once() {
        let error = Sections::parse("---\n---\n# a @6.12\n# a @6.12\n").unwrap_err();
        assert_eq!(error.line, 4);
        let text = error.to_string();
        assert_eq!(text, "line 4: a second section `a @6.12`: keep one of them");
    }

    #[rstest]
    #[case::reference_writes_the_general("", "new", &[("", "new"), ("@virtio", "v"), ("@6.12", "s")])]
    #[case::platform("@virtio", "new", &[("", "g"), ("@6.12", "s"), ("@virtio", "new")])]
    #[case::another_platform("@amd", "new", &[("", "g"), ("@6.12", "s"), ("@amd", "new"), ("@virtio", "v")])]
    #[case::series("@6.12", "new", &[("", "g"), ("@6.12", "new"), ("@virtio", "v")])]
    #[case::both("@virtio-6.12", "new", &[("", "g"), ("@6.12", "s"), ("@virtio", "v"), ("@virtio-6.12", "new")])]
    #[case::as_the_platform("@virtio-6.12", "v", &[("", "g"), ("@6.12", "s"), ("@virtio", "v")])]
    #[case::as_the_general("@6.12", "g", &[("", "g"), ("@virtio", "v")])]
    // Without its section, this platform would use another series' transcript at 6.12.
    #[case::kept_for_another_run("@virtio", "g", &[("", "g"), ("@6.12", "s"), ("@virtio", "g")])]
    #[case::reference_becomes_the_series("", "s", &[("", "s"), ("@virtio", "v")])]
    fn a_run_writes_its_own_section(
        #[case] own: &str,
        #[case] transcript: &str,
        #[case] wanted: &[(&str, &str)],
    ) {
        let mut sections = stored(&[("", "g"), ("@virtio", "v"), ("@6.12", "s")]);
        sections.accept(CASE, &variant(own), transcript);
        let mut wanted: Vec<_> = wanted.to_vec();
        wanted.sort_by_key(|(name, _)| variant(name));
        let found = shown(&sections);
        let found: Vec<_> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_change_says_what_was_written_and_what_was_removed() {
        let mut sections = stored(&[("", "g"), ("@virtio", "v")]);
        let section = |variant| Section {
            case: CASE.to_owned(),
            variant,
        };
        assert_eq!(
            sections.accept(CASE, &Variant::GENERAL, "v"),
            [
                Change::Written(section(Variant::GENERAL)),
                Change::Removed(section(variant("@virtio"))),
            ]
        );
    }

    fn variants() -> impl Strategy<Value = Variant> {
        let series = prop_oneof![Just((6, 12)), Just((6, 1))];
        let series = series.prop_map(|(major, minor)| Series { major, minor });
        let platform = prop_oneof![Just("virtio".to_owned()), Just("intel-flts".to_owned())];
        (option::of(platform), option::of(series))
            .prop_map(|(platform, series)| Variant { platform, series })
    }

    /// Few values, so that equal ones are generated.
    fn of_one_case() -> impl Strategy<Value = Sections> {
        collection::btree_map(variants(), "[ab]", 0..8)
            .prop_map(|variants| Sections(BTreeMap::from([(CASE.to_owned(), variants)])))
    }

    fn any_sections() -> impl Strategy<Value = Sections> {
        let transcript = prop_oneof![
            any::<String>(),
            "([#\\\\ -]{0,3}[ab@ ]{0,3}(\n|\r\n|\r)){0,4}",
        ];
        let transcript = transcript.prop_map(|text| canonical(&text));
        let variants = collection::btree_map(variants(), transcript, 1..4);
        collection::btree_map("[a-z_0-9-]{1,5}(/[a-z0-9 .-]{0,3}[a-z])?", variants, 0..4)
            .prop_map(Sections)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(sections in any_sections(), line in option::of(1_u32..9)) {
            let text = sections.render("cases/a.yaml", line);
            prop_assert_eq!(Sections::parse(&text), Ok(sections));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>(), body in any::<String>()) {
            let _ = Sections::parse(&text);
            if let Ok(sections) = Sections::parse(&format!("---\n---\n# a\n{body}")) {
                let again = Sections::parse(&sections.render("cases/a.yaml", None));
                prop_assert_eq!(again, Ok(sections));
            }
        }

        #[test]
        fn what_a_run_stored_it_sees(
            mut sections in of_one_case(),
            own in variants(),
            transcript in "[abc]",
        ) {
            let before = sections.clone();
            sections.accept(CASE, &own, &transcript);
            prop_assert_eq!(seen(&sections.0[CASE], &own), Some(transcript.as_str()));
            let general = |sections: &Sections| {
                sections.0[CASE].get(&Variant::GENERAL).cloned()
            };
            if own != Variant::GENERAL {
                prop_assert_eq!(general(&before), general(&sections));
            }
            let stored = sections.clone();
            prop_assert_eq!(sections.accept(CASE, &own, &transcript), []);
            prop_assert_eq!(sections, stored);
        }

        #[test]
        fn a_section_that_goes_makes_no_difference(sections in of_one_case(), own in variants()) {
            let mut variants = sections.0[CASE].clone();
            let before = seen(&sections.0[CASE], &own);
            remove_redundant(&mut variants);
            prop_assert_eq!(before, seen(&variants, &own));
        }
    }
}
