//! What is known of earlier runs of the parts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use runner::{qemu::Qemu, root::root};
use serde::{Deserialize, Serialize};
use vm_images::Progress;
use walkdir::{DirEntry, WalkDir};

use crate::{FullError, parts::table::Part};

/// Files of the project that decide a result.
const INPUTS: &[&str] = &[
    "Cargo.lock",
    "Cargo.toml",
    "cases",
    "harness",
    "results/findings",
    "results/races.yaml",
    "results/snapshots",
    "results/unreachable.yaml",
    "scripts",
    "vm-images",
];

/// How a part ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Hash of what the result depends on. `None` if a file changed meanwhile.
    pub inputs: Option<String>,
    /// Time when it ended.
    pub ended: String,
    /// Exit code of the command.
    pub exit: u8,
    /// Its figures, or what was wrong.
    pub result: String,
    pub seconds: u64,
}

impl Outcome {
    /// Whether the part passed.
    pub fn passed(&self) -> bool {
        self.exit == 0
    }

    /// Returns how long it took.
    pub fn took(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

/// The folder of a part: its record, output and outcome.
#[derive(Debug)]
pub struct PartFolder(PathBuf);

impl PartFolder {
    /// The folder of a part; it need not exist.
    pub fn of(part: &str) -> Self {
        Self(root().join("results").join("full").join(part))
    }

    /// The record of its run.
    pub fn record(&self) -> PathBuf {
        self.0.join("record")
    }

    /// Its output.
    pub fn log(&self) -> PathBuf {
        self.0.join("output.txt")
    }

    /// Returns how it ended last. A file that is missing or damaged is as good as none.
    pub fn last(&self) -> Option<Outcome> {
        serde_json::from_str(&fs::read_to_string(self.outcome()).ok()?).ok()
    }

    /// Makes it empty for another run.
    pub fn clear(&self) -> Result<(), FullError> {
        match fs::remove_dir_all(&self.0) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(FullError::file("removing", &self.0)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&self.0).map_err(FullError::file("creating", &self.0))
    }

    /// Stores how it ended.
    pub fn keep(&self, outcome: &Outcome) -> Result<(), FullError> {
        let path = self.outcome();
        let text = serde_json::to_string_pretty(outcome).unwrap_or_default();
        fs::write(&path, text).map_err(FullError::file("writing", &path))
    }

    fn outcome(&self) -> PathBuf {
        self.0.join("outcome.json")
    }
}

/// Returns the hash of what the result of a part depends on: the project's files, its command and
/// what comes from the machine.
pub fn inputs(part: &Part, files: &str, machine: &str) -> String {
    let words = [files, machine].into_iter().chain(part.words());
    vm_images::hash(words.map(str::as_bytes))
}

/// Returns the versions of the machine's QEMU, of the source of Linux and of the compilers. What is
/// missing fails later, with a reason.
pub fn machine(progress: &dyn Progress) -> String {
    let qemu = Qemu::open(Path::new(vm_images::x86::QEMU));
    let qemu = qemu.map(|qemu| qemu.version).unwrap_or_default();
    let kernels = vm_images::ingredients(progress).unwrap_or_default();
    format!("{qemu}\n{kernels}")
}

/// Returns the hash of the project's files, without what no part runs: documents, and tests, which
/// CI runs.
pub fn files(root: &Path) -> Result<String, FullError> {
    let mut parts = Vec::new();
    for input in INPUTS {
        let mut entries = WalkDir::new(root.join(input))
            .sort_by_file_name()
            .into_iter()
            .filter_entry(|entry| !is_beside(entry));
        while let Some(entry) = entries.next().transpose()? {
            if entry.file_type().is_file() {
                let path = entry.path();
                let bytes = fs::read(path).map_err(FullError::file("reading", path))?;
                let name = path.strip_prefix(root).unwrap_or(path);
                parts.extend([name.as_os_str().as_encoded_bytes().to_vec(), bytes]);
            }
        }
    }
    Ok(vm_images::hash(parts.iter().map(Vec::as_slice)))
}

fn is_beside(entry: &DirEntry) -> bool {
    match entry.file_type().is_dir() {
        true => entry.file_name() == "tests",
        false => entry.path().extension().is_some_and(|it| it == "md"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn project() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for input in INPUTS.iter().filter(|it| !it.contains('.')) {
            fs::create_dir_all(root.path().join(input)).unwrap();
        }
        for input in INPUTS.iter().filter(|it| it.contains('.')) {
            fs::write(root.path().join(input), "x").unwrap();
        }
        root
    }

    #[rstest]
    #[case::case_file("cases/a.yaml", true)]
    #[case::agent("harness/agent/src/a.rs", true)]
    #[case::a_document("cases/README.md", false)]
    #[case::a_test("harness/runner/tests/a.rs", false)]
    fn what_a_part_runs_changes_the_hash_of_the_files(#[case] path: &str, #[case] changes: bool) {
        let root = project();
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let before = files(root.path()).unwrap();
        assert_eq!(files(root.path()).unwrap(), before);
        fs::write(path, "").unwrap();
        assert_eq!(files(root.path()).unwrap() != before, changes);
    }

    #[test]
    fn another_machine_changes_the_hash_of_a_part() {
        let part = &crate::parts::table::table().unwrap()[0];
        assert_ne!(inputs(part, "x", "gcc 14"), inputs(part, "x", "gcc 15"));
    }
}
