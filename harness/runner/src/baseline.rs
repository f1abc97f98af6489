//! Failures that somebody knows of (`--baseline`), so that only new ones turn a run red.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::{
    record::{Record, today},
    records::{NoRecord, records},
    verdict::Verdict,
};

/// The failures that a run allows.
#[derive(Debug, Clone, Default)]
pub struct Baseline(Vec<KnownFailure>);

/// A failure that somebody knows of: an entry of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownFailure {
    /// Id of the case, a former one, or that of a record of the machine.
    pub case: String,
    /// The platform on which it fails; none stands for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    pub verdict: Verdict,
    /// Texts that its reason has, all of them. Another failure of the case is a new one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<String>,
    /// Why it fails.
    pub reason: String,
    /// The last day on which it is known; none is for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Date>,
}

/// What became of a known failure in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineReport {
    #[serde(flatten)]
    pub failure: KnownFailure,
    pub state: State,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It failed as known.
    Known,
    /// The case is as expected.
    Mended,
    /// The case fails in another way.
    Otherwise,
    /// Its last day is over, and the case is judged again.
    Over,
    /// No case of the corpus has this id.
    NoCase,
    /// The case was not run.
    NotRun,
}

impl State {
    /// Whether the entry is of no use any more: what `--strict` takes for an error.
    pub const fn is_useless(self) -> bool {
        matches!(self, Self::Mended | Self::Over | Self::NoCase)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Known => "as known",
            Self::Mended => "mended",
            Self::Otherwise => "fails in another way",
            Self::Over => "over, judged again",
            Self::NoCase => "no case has this id",
            Self::NotRun => "not run",
        }
    }
}

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    #[error("--baseline: reading {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    #[error(
        "--baseline: {path}: {error}\neach entry has `case`, `verdict` and `reason`, and may have \
         `platform`, `shows` (texts of the failure) and `until` (a date such as 2027-01-31); \
         `cargo xtask baseline RUN` writes such a file"
    )]
    Malformed {
        path: PathBuf,
        /// The error with its line.
        error: Box<serde_yaml::Error>,
    },
    #[error("--baseline: {path}: entry {number} ({case}) {what}")]
    Useless {
        path: PathBuf,
        /// Number of the entry, from 1.
        number: usize,
        case: String,
        what: &'static str,
    },
    #[error("--baseline: {0}")]
    Record(#[from] NoRecord),
}

impl Baseline {
    /// Reads a file of known failures, or takes all failures of a run, whose folder is given.
    pub fn load(path: &Path) -> Result<Self, BaselineError> {
        if path.is_dir() {
            return Ok(Self::of_run(path)?);
        }
        let text = fs::read_to_string(path).map_err(|error| BaselineError::Io {
            path: path.to_owned(),
            error,
        })?;
        Self::read(&text, path)
    }

    fn read(text: &str, path: &Path) -> Result<Self, BaselineError> {
        // A file with comments only is null in YAML.
        let entries: Option<Vec<KnownFailure>> =
            serde_yaml::from_str(text).map_err(|error| BaselineError::Malformed {
                path: path.to_owned(),
                error: Box::new(error),
            })?;
        let entries = entries.unwrap_or_default();
        for (index, entry) in entries.iter().enumerate() {
            if let Some(what) = entry.mistake() {
                return Err(BaselineError::Useless {
                    path: path.to_owned(),
                    number: index + 1,
                    case: entry.case.clone(),
                    what,
                });
            }
        }
        Ok(Self(entries))
    }

    /// The failures of a run. A kernel that was not built or did not boot is none to live with.
    pub fn of_run(folder: &Path) -> Result<Self, NoRecord> {
        let failed = records(folder)?
            .into_values()
            .filter(|record| !record.is_no_failure() && !record.is_of_kernel());
        let reason = format!("failed in {}", folder.display());
        Ok(Self(
            failed.map(|it| KnownFailure::of(&it, &reason)).collect(),
        ))
    }

    /// The same with this reason and this last day.
    #[must_use]
    pub fn with(mut self, reason: Option<&str>, until: Option<Date>) -> Self {
        for entry in &mut self.0 {
            entry.until = until;
            if let Some(reason) = reason {
                reason.clone_into(&mut entry.reason);
            }
        }
        self
    }

    /// The file of these failures.
    pub fn text(&self) -> Result<String, serde_yaml::SerializeError> {
        serde_yaml::to_string(&self.0)
    }

    /// How many failures it has.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The known failure that a record shows.
    pub fn known(&self, record: &Record) -> Option<&KnownFailure> {
        let today = today();
        let mut entries = self.0.iter();
        entries.find(|it| !it.is_over(today) && it.is_shown(record))
    }

    /// What became of each entry on a platform. `ids` are those of all cases.
    pub fn reports(
        &self,
        records: &[Record],
        platform: &str,
        ids: &BTreeSet<&str>,
    ) -> Vec<BaselineReport> {
        let entries = self.0.iter().filter(|it| it.is_of(platform));
        entries
            .map(|entry| BaselineReport {
                failure: entry.clone(),
                state: entry.state(records, ids),
            })
            .collect()
    }
}

impl KnownFailure {
    /// The failure of a record.
    fn of(record: &Record, reason: &str) -> Self {
        Self {
            case: record.id.clone(),
            platform: Some(record.platform.clone()),
            verdict: record.verdict,
            shows: signature(record),
            reason: reason.to_owned(),
            until: None,
        }
    }

    fn mistake(&self) -> Option<&'static str> {
        match () {
            () if self.verdict.is_expected() => Some("is no failure"),
            () if self.reason.trim().is_empty() => Some("has an empty `reason`"),
            () if self.shows.iter().any(|text| text.trim().is_empty()) => {
                Some("has an empty text in `shows`, which every failure has")
            }
            () => None,
        }
    }

    fn is_of(&self, platform: &str) -> bool {
        self.platform.as_deref().is_none_or(|own| own == platform)
    }

    fn is_over(&self, today: Date) -> bool {
        self.until.is_some_and(|until| until < today)
    }

    fn is_about(&self, record: &Record) -> bool {
        self.is_of(&record.platform)
            && (record.id == self.case || record.former_ids.contains(&self.case))
    }

    fn is_shown(&self, record: &Record) -> bool {
        let reason = record.reason.as_deref().unwrap_or_default();
        self.is_about(record)
            && record.verdict == self.verdict
            && self.shows.iter().all(|text| reason.contains(text))
    }

    fn state(&self, records: &[Record], ids: &BTreeSet<&str>) -> State {
        let record = records.iter().find(|record| self.is_about(record));
        match record {
            _ if self.is_over(today()) => State::Over,
            Some(record) if record.verdict == Verdict::Skip => State::NotRun,
            Some(record) if record.is_no_failure() => State::Mended,
            Some(record) if self.is_shown(record) => State::Known,
            Some(_) => State::Otherwise,
            // Records of the machine are there where they fail only.
            None if self.case.starts_with("machine/") => State::NotRun,
            None if ids.contains(self.case.as_str()) => State::NotRun,
            None => State::NoCase,
        }
    }
}

/// Texts that tell the failure of a record from another one of the same case, also in another
/// checkout and after the kernel's lines have moved.
fn signature(record: &Record) -> Vec<String> {
    let reason = record.reason.as_deref().unwrap_or_default();
    let step = reason.lines().next().unwrap_or_default();
    let step = step.split(" at /").next().unwrap_or_default();
    let told = |line: &&str| line.trim_start().starts_with("observed:");
    match record.verdict {
        Verdict::Splat => reason.lines().find_map(complaint).into_iter().collect(),
        Verdict::Hang | Verdict::Panic | Verdict::Error => Vec::new(),
        _ => {
            let step = (!step.is_empty()).then(|| step.to_owned());
            let observed = reason.lines().filter(told).map(|it| it.trim().to_owned());
            step.into_iter().chain(observed.take(1)).collect()
        }
    }
}

/// What a line of a complaint names: the function of a warning, or the whole line.
fn complaint(line: &str) -> Option<String> {
    let line = line.trim();
    let function = |at: &str| {
        let (_, after) = line.split_once(at)?;
        let (name, _) = after.split_once('+')?;
        Some(format!("{at}{name}+"))
    };
    match () {
        () if line.starts_with("WARNING: ") => function(" at ").or_else(|| Some(line.to_owned())),
        () if line.starts_with("BUG: ") || line.starts_with("UBSAN: ") => Some(line.to_owned()),
        () => None,
    }
}

impl std::fmt::Display for BaselineReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let KnownFailure {
            case,
            verdict,
            reason,
            until,
            ..
        } = &self.failure;
        write!(f, "{verdict} {case}: {} ({reason}", self.state.name())?;
        match until {
            Some(until) => write!(f, "; until {until})"),
            None => write!(f, ")"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const FILE: &str = "
- case: stage1/a
  verdict: FAIL
  shows: ['step 4 (close a)', 'observed: EBUSY']
  reason: mended in the next merge
  until: 9999-12-31
- {case: stage1/b, verdict: SPLAT, platform: amd, reason: a warning}
- {case: stage1/c, verdict: FAIL, reason: very old, until: 2001-01-01}
";

    fn baseline(text: &str) -> Baseline {
        Baseline::read(text, Path::new("known.yaml")).unwrap()
    }

    fn record(id: &str, verdict: Verdict, reason: &str) -> Record {
        Record {
            verdict,
            reason: Some(reason.to_owned()),
            ..Record::of_machine(id, "intel", "a rule")
        }
    }

    const AS_KNOWN: &str = "step 4 (close a) at /x/a.yaml:4:5\nexpected: success\nobserved: EBUSY";

    #[rstest]
    #[case::as_known("stage1/a", Verdict::Fail, AS_KNOWN, true)]
    #[case::another_errno("stage1/a", Verdict::Fail, "step 4 (close a)\nobserved: EIO", false)]
    #[case::another_verdict("stage1/a", Verdict::Hang, AS_KNOWN, false)]
    #[case::another_case("stage1/d", Verdict::Fail, AS_KNOWN, false)]
    #[case::another_platform("stage1/b", Verdict::Splat, "WARNING", false)]
    #[case::over("stage1/c", Verdict::Fail, "", false)]
    fn a_failure_is_known_by_all_that_tells_it(
        #[case] id: &str,
        #[case] verdict: Verdict,
        #[case] reason: &str,
        #[case] known: bool,
    ) {
        let record = record(id, verdict, reason);
        assert_eq!(baseline(FILE).known(&record).is_some(), known);
    }

    #[rstest]
    #[case::known(Some((Verdict::Fail, AS_KNOWN)), State::Known)]
    #[case::mended(Some((Verdict::Pass, "")), State::Mended)]
    #[case::otherwise(Some((Verdict::Fail, "step 1")), State::Otherwise)]
    #[case::skipped(Some((Verdict::Skip, "")), State::NotRun)]
    #[case::not_selected(None, State::NotRun)]
    fn an_entry_ends_in_a_state(#[case] ended: Option<(Verdict, &str)>, #[case] expected: State) {
        let records = ended.map(|(verdict, reason)| record("stage1/a", verdict, reason));
        let records: Vec<_> = records.into_iter().collect();
        let reports = baseline(FILE).reports(&records, "intel", &["stage1/a"].into());
        let states: Vec<_> = reports.iter().map(|report| report.state).collect();
        assert_eq!(states, [expected, State::Over]);
    }

    #[test]
    fn an_unknown_case_is_told() {
        let reports = baseline(FILE).reports(&[], "intel", &BTreeSet::new());
        let text = reports[0].to_string();
        insta::assert_snapshot!(text, @"FAIL stage1/a: no case has this id (mended in the next merge; until 9999-12-31)");
        assert!(reports[0].state.is_useless());
    }

    #[rstest]
    #[case::step(Verdict::Fail, AS_KNOWN, &["step 4 (close a)", "observed: EBUSY"])]
    #[case::warning(
        Verdict::Splat,
        "------------[ cut here ]------------\nWARNING: drivers/a.c:7 at f+0x1/0x2",
        &[" at f+"]
    )]
    #[case::oops(Verdict::Splat, "BUG: kernel NULL pointer", &["BUG: kernel NULL pointer"])]
    #[case::hang(Verdict::Hang, "the kernel hangs", &[])]
    fn what_is_written_is_known_again(
        #[case] verdict: Verdict,
        #[case] reason: &str,
        #[case] shows: &[&str],
    ) {
        let record = record("stage1/a", verdict, reason);
        let entry = KnownFailure::of(&record, "failed in a run");
        assert_eq!(entry.shows, shows);
        let written = Baseline(vec![entry]).text().unwrap();
        assert!(baseline(&written).known(&record).is_some(), "{written}");
    }

    #[rstest]
    #[case::no_list("case: a", "expected sequence")]
    #[case::no_reason("- {case: a, verdict: FAIL}", "missing field `reason`")]
    #[case::no_failure("- {case: a, verdict: PASS, reason: b}", "entry 1 (a) is no failure")]
    #[case::no_date("- {case: a, verdict: FAIL, reason: b, until: soon}", "until")]
    #[case::empty("- {case: a, verdict: FAIL, reason: b, shows: ['']}", "empty text")]
    #[case::unknown("- {case: a, verdict: FAIL, reason: b, when: c}", "unknown field")]
    fn mistakes_are_told_with_their_file(#[case] text: &str, #[case] says: &str) {
        let error = Baseline::read(text, Path::new("known.yaml")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("known.yaml") && error.contains(says),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~\n]{0,80}") {
            let _ = Baseline::read(&text, Path::new("a"));
        }
    }
}
