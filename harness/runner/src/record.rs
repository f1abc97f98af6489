//! The record of a run: one entry for each case, written as soon as the case is judged.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    allowed::AllowedReport, checks, configuration::Configuration, counters::Kept, newer::Newer,
    races::Raced, verdict::Verdict,
};

/// Judgement of one case: an element of `cases` in `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Case id.
    pub id: String,
    /// Former ids of the case, for programs that track results by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub former_ids: Vec<String>,
    /// Platform that it ran on.
    pub platform: String,
    pub verdict: Verdict,
    /// The rule it proves.
    pub summary: String,
    /// Clauses that it is about.
    pub clauses: Vec<String>,
    /// Wall time in milliseconds.
    pub ms: u64,
    /// The guest that it ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<InGuest>,
    /// The reason, for every verdict except a plain PASS.
    pub reason: Option<String>,
    /// For a SKIP of what the platform and the configuration promise: the id of the failed record
    /// that says what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Findings that it showed: pages of `results/findings`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<String>,
    /// Why the failure is known, by `--baseline`: it does not turn the run red.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<String>,
    /// On a kernel newer than the reference: what the verdict says other than a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
    /// Clauses of the plan that the kernel conforms to in this case, where Linux is known to deviate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub as_planned: Vec<String>,
    /// The first step that is not as expected, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_step: Option<usize>,
    /// Kernel log of the case, for verdicts that are not as expected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kmsg: Vec<String>,
    /// Its races, each with the order that was seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub races: Vec<Raced>,
    /// The normalised transcript.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub transcript: String,
}

/// Where in a run a case ran, for a failure that an earlier case in the same guest has caused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InGuest {
    /// The number of the guest: its console is `console-NUMBER.log`.
    pub number: usize,
    /// The id of the case before it in this guest. The first case of a guest has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl fmt::Display for InGuest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.after {
            Some(case) => write!(f, "guest {}, after {case}", self.number),
            None => write!(f, "guest {}, first of its cases", self.number),
        }
    }
}

/// Id of the record of a kernel that cannot be built.
pub const BUILD: &str = "build";
/// Id of the record of a kernel that does not boot.
pub const BOOT: &str = "boot";

impl Record {
    /// Returns the failure of a whole kernel, which no case could be run on.
    pub fn of_kernel(id: &str, platform: &str, reason: String) -> Self {
        let rule = match id {
            BUILD => "The kernel under test can be built",
            _ => "A guest with the kernel under test boots",
        };
        Self {
            reason: Some(reason),
            verdict: Verdict::Fail,
            ..Self::of_machine(id, platform, rule)
        }
    }

    /// Returns a PASS that is not about a case but about a whole machine.
    pub fn of_machine(id: &str, platform: &str, rule: &str) -> Self {
        Self {
            id: id.to_owned(),
            former_ids: Vec::new(),
            platform: platform.to_owned(),
            verdict: Verdict::Pass,
            summary: rule.to_owned(),
            clauses: Vec::new(),
            ms: 0,
            guest: None,
            reason: None,
            waits_for: None,
            findings: Vec::new(),
            known: None,
            newer: None,
            as_planned: Vec::new(),
            failed_step: None,
            kmsg: Vec::new(),
            races: Vec::new(),
            transcript: String::new(),
        }
    }

    /// Whether it does not turn a run red: its verdict is as expected, the failure is known, or a
    /// newer kernel may differ so.
    pub const fn is_as_expected(&self) -> bool {
        self.is_no_failure() || self.known.is_some()
    }

    /// Whether its verdict is as expected, or a newer kernel may differ so.
    pub const fn is_no_failure(&self) -> bool {
        self.verdict.is_expected() || self.newer.is_some()
    }

    /// Whether it is about what a guest has or about its checks, not a case.
    pub fn is_of_machine(&self) -> bool {
        self.id.starts_with("machine/")
    }

    /// Whether it is about a check of the kernel, which tells at the end of a guest what all its
    /// cases have caused.
    pub fn is_of_check(&self) -> bool {
        checks::is_id(&self.id)
    }

    /// Whether it is about the kernel as a whole, not a case.
    pub fn is_of_kernel(&self) -> bool {
        self.id == BUILD || self.id == BOOT
    }
}

/// How many unknown names a line shows.
const SHOWN: usize = 10;

/// Facts of a run: `run` in `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFacts {
    /// Start time in UTC.
    pub started: String,
    pub platform: String,
    /// `uname -r` of the guest.
    pub kernel: String,
    /// Cache key of the kernel image.
    pub image: String,
    /// The configuration of a kernel that somebody else built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Configuration>,
    /// QEMU's version line.
    pub qemu: String,
    /// What its build differs in from the default, such as `debug, LLVM=-19`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
    /// What this QEMU lacks of the platform, one line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
    /// Names in the headers of the kernel that the suite does not know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_names: Vec<String>,
    /// Complaints of the kernel that `--splat-allow` allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed: Vec<AllowedReport>,
    /// Accelerator: `kvm` or `tcg`.
    pub accel: String,
    /// The reason why it is not KVM, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not_kvm: Option<String>,
    /// Number of guests at a time.
    pub jobs: usize,
    /// The seed of the order of the cases, if they did not run in their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<u64>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// Wall time in milliseconds, without building.
    pub ms: u64,
    /// Counters of the guests' kernels, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Kept>,
}

impl RunFacts {
    /// The kernel and its build, such as `Linux 7.3.4 (debug)`.
    pub fn linux(&self) -> String {
        match self.build.as_str() {
            "" => format!("Linux {}", self.kernel),
            build => format!("Linux {} ({build})", self.kernel),
        }
    }

    /// What the head of each output says below its first line: the accelerator, the configuration of
    /// a kernel that was not built here, and what this QEMU lacks.
    pub fn head(&self) -> Vec<String> {
        let mut lines = vec![format!("accelerator: {}", self.accelerator())];
        let configuration = self.configuration.as_ref();
        lines.extend(configuration.map(|it| format!("configuration: {it}")));
        lines.extend(self.shuffle.map(|seed| format!("order: --shuffle={seed}")));
        lines.extend(self.lacking.clone());
        lines.extend(self.unknown());
        let over = self.allowed.iter().filter(|entry| entry.over);
        lines.extend(over.map(|entry| format!("--splat-allow: {entry}")));
        lines
    }

    /// The names that the suite does not know, in one line that is not too long; the record has all.
    fn unknown(&self) -> Option<String> {
        let names = &self.unknown_names;
        let shown: Vec<_> = names.iter().take(SHOWN).map(String::as_str).collect();
        let rest = match names.len() - shown.len() {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        let (count, names) = match names.len() {
            0 => return None,
            1 => ("a name".to_owned(), shown.join("")),
            count => (format!("{count} names"), shown.join(", ")),
        };
        Some(format!(
            "the headers of this kernel have {count} that the suite does not know: {names}{rest}"
        ))
    }

    /// The accelerator, and why it is not KVM.
    pub fn accelerator(&self) -> String {
        match &self.why_not_kvm {
            Some(why) => format!("{}, not KVM: {why}", self.accel),
            None => self.accel.clone(),
        }
    }
}

/// The folder of one run.
#[derive(Debug)]
pub struct RunDir {
    /// Its path.
    pub path: PathBuf,
    records: File,
}

/// The folder of a run could not be created.
#[derive(Debug, thiserror::Error)]
#[error(
    "creating {folder} for the record of the run: {error}; give another folder with --record \
         DIR"
)]
pub struct NoFolder {
    pub folder: PathBuf,
    pub error: io::Error,
}

/// Checks that the folder given for the record can be made and written to. So a wrong one is told
/// before anything is built. What was not there is not there afterwards: a run may end before it has
/// a record.
pub fn check_folder(folder: &Path) -> Result<(), NoFolder> {
    let missing: Vec<_> = folder.ancestors().take_while(|it| !it.exists()).collect();
    let made = fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder));
    for folder in missing {
        // One that stays is empty, and is used by the next run.
        let _ = fs::remove_dir(folder);
    }
    match made {
        Ok(_) => Ok(()),
        Err(error) => Err(NoFolder {
            folder: folder.to_owned(),
            error,
        }),
    }
}

impl RunDir {
    /// Creates `runs/TIME` and points `runs/latest` to it, or uses the given folder.
    pub fn create(runs: &Path, given: Option<&Path>, started: &str) -> Result<Self, NoFolder> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => free_name(runs, started),
        };
        let latest = given.is_none().then_some(runs);
        Self::make(&path, latest).map_err(|error| NoFolder {
            folder: path,
            error,
        })
    }

    fn make(path: &Path, latest: Option<&Path>) -> io::Result<Self> {
        fs::create_dir_all(path)?;
        let mut options = OpenOptions::new();
        let records = options
            .create(true)
            .append(true)
            .open(path.join("records.jsonl"))?;
        if let Some(runs) = latest {
            point_latest(runs, path)?;
        }
        Ok(Self {
            path: path.to_owned(),
            records,
        })
    }

    /// Appends a record to the file at once, so that it survives if the runner is killed.
    pub fn add(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        self.records.write_all(&line)
    }

    /// Path of a guest's console.
    pub fn console(&self, boot: usize) -> PathBuf {
        self.path.join(format!("console-{boot}.log"))
    }

    /// Writes a whole file, atomically.
    pub fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let temporary = self.path.join(format!(".{name}.new"));
        fs::write(&temporary, text)?;
        fs::rename(temporary, self.path.join(name))
    }
}

/// Returns a name that is not taken: two runs may start in the same second.
fn free_name(runs: &Path, started: &str) -> PathBuf {
    let plain = runs.join(started);
    let numbered = (2..).map(|number| runs.join(format!("{started}-{number}")));
    std::iter::once(plain.clone())
        .chain(numbered)
        .find(|path| !path.exists())
        .unwrap_or(plain)
}

fn point_latest(runs: &Path, path: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let temporary = runs.join(format!(".latest-{}", std::process::id()));
    let _ = fs::remove_file(&temporary);
    std::os::unix::fs::symlink(name, &temporary)?;
    fs::rename(temporary, runs.join("latest"))
}

/// Returns the time as `2026-01-31T12-59-59Z`, which is valid in a file name.
pub fn timestamp() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H-%M-%SZ").to_string()
}

/// Returns the date in UTC.
pub fn today() -> Date {
    TimeZone::UTC.to_datetime(Timestamp::now()).date()
}
