//! Runs the kernel's own tests of iommufd and vfio in the same kind of guest, to compare with them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use case::{Compiled, Corpus, Shape};
use vm_images::{Entry, Terminal};
use wire::{FileOp, Limit, Location, Observed, Op, Plan, ProcessOp};

use crate::{
    agent::AgentError,
    exit::Exit,
    guest::{BootError, CaseEnd, Guest},
    lab::{Lab, LabError},
    options::MachineOptions,
    say,
    snapshot::Mode,
};

/// Folders of `tools/testing/selftests`.
const FOLDERS: [&str; 2] = ["iommu", "vfio"];
/// Folder of the programs in the guest.
const PLACE: &str = "kselftest";
/// Deadline of a program. One of them waits forever if a device's interrupts do not arrive.
const LIMIT: Duration = Duration::from_secs(60);
/// Memory of the guest: the tests map a gigabyte.
const MEMORY_MIB: u32 = 2048;
/// Settings that the tests expect. Some tests map huge pages and are skipped if there are none;
/// others create virtual functions.
const SETTINGS: [(&str, &str); 2] = [
    ("/proc/sys/vm/nr_hugepages", "128"),
    ("/sys/module/vfio_pci/parameters/enable_sriov", "1"),
];

/// Why the kernel's own tests could not be built or run.
#[derive(Debug, thiserror::Error)]
pub enum KselftestError {
    /// The tree does not have the folder of the tests.
    #[error("{} has no tools/testing/selftests/{folder}; give the top folder of a kernel source \
             tree", tree.display())]
    NotATree {
        /// The tree.
        tree: PathBuf,
        /// The missing folder.
        folder: &'static str,
    },
    /// The kernel is a ready image.
    #[error(
        "the kernel's own tests need the kernel's headers, which a ready image does not have; \
             give its source tree with --linux TREE"
    )]
    NoHeaders,
    /// make failed.
    #[error(
        "building {folder} of the kernel's own tests failed; if a header is missing, \
         `scripts/bootstrap --coverage` may install it:\n{tail}"
    )]
    Build {
        folder: &'static str,
        /// The last lines of make's output.
        tail: String,
    },
    /// A file failed.
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// No initramfs.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// No lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// No guest.
    #[error(transparent)]
    Boot(#[from] BootError),
}

impl KselftestError {
    /// Returns the exit code of a command that needs the tests.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotATree { .. } => Exit::Usage,
            Self::Lab(error) => error.exit(),
            Self::Boot(error) => error.blame().into(),
            _ => Exit::Host,
        }
    }
}

/// Checks that a tree has the tests. They are built much later, so a wrong option is reported
/// early.
pub fn check(tree: &Path) -> Result<(), KselftestError> {
    let mut folders = FOLDERS.iter();
    folders.try_for_each(|folder| source(tree, folder).map(drop))
}

/// Returns the path of a folder of tests in a tree.
fn source(tree: &Path, folder: &'static str) -> Result<PathBuf, KselftestError> {
    let source = tree.join("tools/testing/selftests").join(folder);
    if source.join("Makefile").exists() {
        return Ok(source);
    }
    Err(KselftestError::NotATree {
        tree: tree.to_owned(),
        folder,
    })
}

/// A program of the kernel's own tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    folder: &'static str,
    name: String,
    path: PathBuf,
}

/// Result of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its folder and name.
    pub name: String,
    /// The totals that it printed, or how it ended without printing them.
    pub result: Result<Totals, String>,
    /// Wall time.
    pub took: Duration,
}

/// Numbers of tests that a program prints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Tests that passed, or failed as expected.
    pub pass: usize,
    /// Tests that failed.
    pub fail: usize,
    /// Tests that were skipped.
    pub skip: usize,
}

/// Builds and runs the tests of a tree, prints the result of each program, and returns the wall
/// time.
pub fn build_and_run(options: &MachineOptions, tree: &Path) -> Result<Duration, KselftestError> {
    let lab = Lab::open(options, Corpus::default(), Mode::Ignore, &Terminal::new())?;
    let headers = lab
        .image
        .headers
        .as_deref()
        .ok_or(KselftestError::NoHeaders)?;
    let programs = build(tree, headers, &lab.path().join(PLACE))?;
    say!("\nThe kernel's own tests, from {}:", tree.display());
    let ran = run(&lab, &programs, |ran| say!("{ran}"))?;
    Ok(ran.iter().map(|ran| ran.took).sum())
}

/// Builds the programs of a tree statically into a folder. The tree is not changed.
pub fn build(tree: &Path, headers: &Path, into: &Path) -> Result<Vec<Program>, KselftestError> {
    let mut programs = Vec::new();
    for folder in FOLDERS {
        let source = source(tree, folder)?;
        let output = into.join(folder);
        fs::create_dir_all(&output).map_err(failed(&output))?;
        make(folder, &source, headers, &output)?;
        programs.extend(built(folder, &output)?);
    }
    Ok(programs)
}

fn make(
    folder: &'static str,
    source: &Path,
    headers: &Path,
    output: &Path,
) -> Result<(), KselftestError> {
    let mut make = Command::new("make");
    for name in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "LLVM", "CROSS_COMPILE"] {
        make.env_remove(name);
    }
    let output = output.canonicalize().map_err(failed(output))?;
    make.arg("--silent").arg("-C").arg(source).args([
        format!("OUTPUT={}", output.display()),
        format!("KHDR_INCLUDES=-isystem {}", headers.display()),
        "USERLDFLAGS=-static".to_owned(),
        "all".to_owned(),
    ]);
    let done = make.output().map_err(failed(Path::new("make")))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let lines: Vec<_> = said.lines().collect();
    Err(KselftestError::Build {
        folder,
        tail: lines[lines.len().saturating_sub(12)..].join("\n"),
    })
}

/// Returns the programs that make built: executable files without an extension.
fn built(folder: &'static str, output: &Path) -> Result<Vec<Program>, KselftestError> {
    use std::os::unix::fs::PermissionsExt;
    let mut programs = Vec::new();
    for entry in fs::read_dir(output).map_err(failed(output))?.flatten() {
        let path = entry.path();
        let runs = entry
            .metadata()
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o100 != 0);
        if runs && path.extension().is_none() {
            programs.push(Program {
                folder,
                name: entry.file_name().to_string_lossy().into_owned(),
                path,
            });
        }
    }
    programs.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(programs)
}

/// Runs every program, all in one guest unless it is lost, and calls `tell` as each ends.
pub fn run(
    lab: &Lab,
    programs: &[Program],
    mut tell: impl FnMut(&Ran),
) -> Result<Vec<Ran>, KselftestError> {
    let initramfs = crate::agent::initramfs(&lab.image.modules, entries(programs)?)?;
    let logs = lab.path().join(PLACE);
    fs::create_dir_all(&logs).map_err(failed(&logs))?;
    let mut guest = None;
    let mut results = Vec::new();
    for program in programs {
        let (number, mut current) = match guest.take() {
            Some(guest) => guest,
            None => lab.boot_with(&initramfs, MEMORY_MIB)?,
        };
        let (ran, said) = run_one(program, &mut current);
        tell(&ran);
        match said {
            // A program that was killed may leave processes that hold its device.
            Some(_) if ran.result.is_err() => end(lab, number, current),
            Some(_) => guest = Some((number, current)),
            None => eprintln!("guest {number} was lost with its gcov counters"),
        }
        results.push(ran);
        let log = logs.join(format!("{}.log", program.name));
        fs::write(&log, said.unwrap_or_default()).map_err(failed(&log))?;
    }
    if let Some((number, last)) = guest {
        end(lab, number, last);
    }
    Ok(results)
}

/// Stores the counters of a guest and ends it.
fn end(lab: &Lab, number: usize, mut guest: Guest) {
    if let Some(counters) = &lab.counters
        && let Err(error) = guest.counters(&mut counters.of_guest(number))
    {
        eprintln!("the gcov counters of guest {number} were not stored: {error}");
    }
    guest.end();
}

/// Runs a program. Returns its result and its output; the output is `None` if the guest was lost.
fn run_one(program: &Program, guest: &mut Guest) -> (Ran, Option<Vec<u8>>) {
    let plan = plan(program, guest);
    let compiled = Compiled {
        plan,
        checks: Vec::new(),
    };
    let observation = guest.run(&compiled);
    let last = observation.outcomes.last().cloned().flatten();
    let (result, said) = match (observation.end, last.map(|outcome| outcome.observed)) {
        (CaseEnd::Lost(lost), _) => (Err(lost.to_string()), None),
        (CaseEnd::Done { end, .. }, None) => (Err(format!("{end:?}")), Some(Vec::new())),
        (CaseEnd::Done { .. }, Some(Observed::Ok { ret, data })) => {
            let text = String::from_utf8_lossy(&data);
            let cut = observation.wall >= LIMIT;
            (result(&text, ret, cut), Some(data))
        }
        (CaseEnd::Done { .. }, Some(other)) => (Err(format!("{other:?}")), Some(Vec::new())),
    };
    let ran = Ran {
        name: format!("{}/{}", program.folder, program.name),
        result,
        took: observation.wall,
    };
    (ran, said)
}

fn plan(program: &Program, guest: &Guest) -> Plan {
    let settings = SETTINGS.map(|(path, text)| {
        let (at, text) = (Location::Path(path.to_owned()), text.to_owned());
        Op::from(FileOp::WriteFile { at, text })
    });
    let limit = LIMIT.as_millis() as u64;
    let program = ProcessOp::Program {
        path: format!("/{PLACE}/{}", program.name),
        args: arguments(program, guest),
        limit: Limit(limit),
    };
    Plan {
        name: "kselftest".to_owned(),
        ops: settings.into_iter().chain([program.into()]).collect(),
        restore: Vec::new(),
        timeout_ms: limit + 30_000,
    }
}

/// Returns the device for a vfio test: one that the tests have a driver for, or else any.
fn arguments(program: &Program, guest: &Guest) -> Vec<String> {
    if program.folder != "vfio" {
        return Vec::new();
    }
    let group = |shape| guest.offer.groups.iter().find(|group| group.shape == shape);
    let group = group(Shape::Sriov).or_else(|| group(Shape::Singleton));
    let device = group.and_then(|group| group.devices.first());
    device
        .map(|device| device.name.clone())
        .into_iter()
        .collect()
}

/// Reads the last line of a program, such as `# Totals: pass:3 fail:0 xfail:0 xpass:0 skip:1
/// error:0`.
fn result(said: &str, code: u64, cut: bool) -> Result<Totals, String> {
    let totals = said
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("# Totals: "));
    match totals {
        Some(line) => Ok(totals_of(line)),
        None if cut => Err(format!("killed after {} s", LIMIT.as_secs())),
        None => Err(format!("exited with {code} without totals")),
    }
}

fn totals_of(line: &str) -> Totals {
    let mut totals = Totals::default();
    for (name, count) in line
        .split_whitespace()
        .filter_map(|word| word.split_once(':'))
    {
        let count: usize = count.parse().unwrap_or(0);
        match name {
            "pass" | "xfail" => totals.pass += count,
            "skip" => totals.skip += count,
            _ => totals.fail += count,
        }
    }
    totals
}

fn entries(programs: &[Program]) -> Result<Vec<Entry>, KselftestError> {
    let mut entries = vec![Entry::Dir {
        name: PLACE.to_owned(),
    }];
    for program in programs {
        entries.push(Entry::File {
            name: format!("{PLACE}/{}", program.name),
            mode: 0o755,
            content: fs::read(&program.path).map_err(failed(&program.path))?,
        });
    }
    Ok(entries)
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = self.took.as_secs_f64();
        write!(f, "{seconds:>7.1} s  {:<36}", self.name)?;
        match &self.result {
            Ok(Totals { pass, fail, skip }) => {
                write!(f, " {pass} passed, {fail} failed, {skip} skipped")
            }
            Err(why) => write!(f, " {why}"),
        }
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> KselftestError {
    let path = path.to_owned();
    move |error| KselftestError::Io {
        path: path.clone(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        "ok 1\n# Totals: pass:3 fail:1 xfail:1 xpass:0 skip:2 error:1\n", 1, false,
        Ok(Totals { pass: 4, fail: 2, skip: 2 })
    )]
    #[case("ok 1\n", 137, true, Err("killed after 60 s".to_owned()))]
    #[case("", 4, false, Err("exited with 4 without totals".to_owned()))]
    fn reads_the_totals(
        #[case] said: &str,
        #[case] code: u64,
        #[case] cut: bool,
        #[case] want: Result<Totals, String>,
    ) {
        assert_eq!(result(said, code, cut), want);
    }

    #[test]
    fn a_folder_that_is_no_tree_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = check(folder.path()).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has no tools/testing/selftests/iommu")
        );
    }
}
