//! The gcov counters of the guests' kernels, laid out for any gcov tool.
//!
//! The folder of a run has the source at its paths in the kernel tree. Its subfolder `guest-N` has
//! the counters of the Nth guest (`.gcda`) beside the notes of their build (`.gcno`).

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::guest::Lost;

/// The folder for counters in the folder of a run.
pub const COUNTERS: &str = "counters";

/// Where the counters of guests are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum KeepCounters {
    /// The kernel has no counters.
    #[default]
    No,
    /// In the folder of the run.
    InRecord,
    /// In a folder of their own.
    In(PathBuf),
}

impl KeepCounters {
    /// The folder for the counters of a run whose record is in `record`.
    pub fn folder(&self, record: &Path) -> Option<PathBuf> {
        match self {
            Self::No => None,
            Self::InRecord => Some(record.join(COUNTERS)),
            Self::In(folder) => Some(folder.clone()),
        }
    }
}

/// Maximum number of bytes of counters from one guest: a hundred times what a kernel has.
const LIMIT: usize = 64 << 20;

/// Why there are no counters.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// The guest was lost before it had sent them.
    #[error("the guest was lost before it had sent its counters: {0}")]
    Lost(#[from] Lost),
    /// The agent sent another message.
    #[error("asked for counters, the agent answered with {0}")]
    Answer(String),
    /// The kernel has no counters.
    #[error(
        "the kernel has no counters: it was built without CONFIG_GCOV_KERNEL or without \
             debugfs"
    )]
    None,
    /// The guest could not read some of them.
    #[error("the guest could not read the counters {0}")]
    Unread(String),
    /// The guest sent a path that leads out of the folder.
    #[error("the guest sent counters for {0}, a path that leads out of the folder")]
    Path(String),
    /// More than a kernel can have.
    #[error("the guest sent more than {} MiB of counters", LIMIT >> 20)]
    TooMany,
    /// A file could not be written.
    #[error("writing {}: {error}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// The error.
        error: io::Error,
    },
}

/// The counters stored in a run: part of `run` in `report.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Folder with the counters.
    pub folder: PathBuf,
    /// Number of guests whose counters are stored.
    pub guests: usize,
    /// Guests that were lost before they could send their counters, with the reason.
    pub lost: Vec<String>,
}

/// The folder for the counters of a run.
#[derive(Debug)]
pub struct Counters {
    folder: PathBuf,
    notes: Notes,
}

impl Counters {
    /// Uses an empty folder, or makes one. `build` has the notes and the source of the kernel. For
    /// a ready image it is `None`, and counters are stored at the paths of its build.
    pub fn new(folder: &Path, build: Option<&Path>) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        if fs::read_dir(folder)?.next().is_some() {
            return Err(io::Error::other(format!(
                "{} is not empty, and counters of two runs must not be mixed; give another folder",
                folder.display()
            )));
        }
        let mut notes = Vec::new();
        if let Some(build) = build {
            for path in files_below(build)? {
                let relative = path.strip_prefix(build).unwrap_or(&path).to_owned();
                if relative.extension().is_some_and(|ending| ending == "gcno") {
                    notes.push(relative);
                } else {
                    copy(&path, &folder.join(relative))?;
                }
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            notes: Notes {
                build: build.map(Path::to_owned),
                paths: notes,
            },
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Receives the counters of a guest.
    pub fn of_guest(&self, number: usize) -> GuestCounters<'_> {
        GuestCounters {
            folder: self.folder.join(format!("guest-{number}")),
            notes: &self.notes,
            bytes: 0,
        }
    }
}

/// The notes of a build, by their paths in the tree.
#[derive(Debug)]
struct Notes {
    build: Option<PathBuf>,
    paths: Vec<PathBuf>,
}

impl Notes {
    /// Returns the notes that belong to a file of counters, given the path of the counters in the
    /// build.
    fn of(&self, counters: &Path) -> Option<&Path> {
        let wanted = counters.with_extension("gcno");
        let found = self.paths.iter().find(|path| wanted.ends_with(path));
        found.map(PathBuf::as_path)
    }
}

/// Receives the counters of one guest.
#[derive(Debug)]
pub struct GuestCounters<'a> {
    folder: PathBuf,
    notes: &'a Notes,
    bytes: usize,
}

impl GuestCounters<'_> {
    /// Adds bytes to a file of counters.
    pub fn add(&mut self, path: &str, bytes: &[u8]) -> Result<(), CountersError> {
        self.bytes += bytes.len();
        if self.bytes > LIMIT {
            return Err(CountersError::TooMany);
        }
        let place = self.place(path)?;
        self.append(&place, bytes)
            .map_err(|error| CountersError::Io {
                path: place.clone(),
                error,
            })
    }

    /// Returns where to store a file of counters: beside its notes, or else at its path in the
    /// build.
    fn place(&self, path: &str) -> Result<PathBuf, CountersError> {
        let given = Path::new(path.trim_start_matches('/'));
        let harmless = |part: Component| matches!(part, Component::Normal(_));
        if path.is_empty() || !given.components().all(harmless) {
            return Err(CountersError::Path(path.to_owned()));
        }
        Ok(match self.notes.of(given) {
            Some(notes) => self.folder.join(notes).with_extension("gcda"),
            None => self.folder.join(given),
        })
    }

    fn append(&self, place: &Path, bytes: &[u8]) -> io::Result<()> {
        if !place.exists() {
            self.copy_notes(place)?;
        }
        let mut file = OpenOptions::new().create(true).append(true).open(place)?;
        file.write_all(bytes)
    }

    fn copy_notes(&self, place: &Path) -> io::Result<()> {
        fs::create_dir_all(place.parent().unwrap_or(&self.folder))?;
        match (&self.notes.build, self.notes.of(place)) {
            (Some(build), Some(notes)) => copy(&build.join(notes), &self.folder.join(notes)),
            _ => Ok(()),
        }
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, to).map(|_| ())
}

fn files_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    /// A build with one object file, and the folder of a run.
    fn fixture() -> (tempfile::TempDir, Counters) {
        let root = tempfile::tempdir().unwrap();
        let build = root.path().join("build/drivers/vfio");
        fs::create_dir_all(&build).unwrap();
        fs::write(build.join("group.gcno"), "notes").unwrap();
        fs::write(build.join("group.c"), "source").unwrap();
        let build = root.path().join("build");
        let counters = Counters::new(&root.path().join("run"), Some(&build)).unwrap();
        (root, counters)
    }

    #[test]
    fn counters_lie_beside_their_notes_and_source_above() {
        let (root, counters) = fixture();
        let mut guest = counters.of_guest(2);
        guest.add("tmp/x/drivers/vfio/group.gcda", b"ab").unwrap();
        guest.add("tmp/x/drivers/vfio/group.gcda", b"cd").unwrap();
        let run = root.path().join("run");
        let text = |path: &str| fs::read_to_string(run.join(path)).unwrap();
        assert_eq!(text("guest-2/drivers/vfio/group.gcda"), "abcd");
        assert_eq!(text("guest-2/drivers/vfio/group.gcno"), "notes");
        assert_eq!(text("drivers/vfio/group.c"), "source");
    }

    #[test]
    fn counters_without_notes_keep_their_path() {
        let (root, counters) = fixture();
        counters.of_guest(1).add("/o/net/sock.gcda", b"x").unwrap();
        assert!(root.path().join("run/guest-1/o/net/sock.gcda").exists());
    }

    #[rstest]
    #[case("")]
    #[case("../x.gcda")]
    #[case("a/../../x.gcda")]
    fn no_path_leads_out(#[case] path: &str) {
        let (_root, counters) = fixture();
        let error = counters.of_guest(1).add(path, b"x").unwrap_err();
        assert!(matches!(error, CountersError::Path(_)), "{error}");
    }

    #[test]
    fn there_is_a_limit() {
        let (_root, counters) = fixture();
        let mut guest = counters.of_guest(1);
        guest.bytes = LIMIT;
        let error = guest.add("a.gcda", b"x").unwrap_err();
        assert!(error.to_string().contains("more than 64 MiB"), "{error}");
    }

    #[test]
    fn two_runs_do_not_mix() {
        let (root, _) = fixture();
        let error = Counters::new(&root.path().join("run"), None).unwrap_err();
        assert!(error.to_string().contains("is not empty"), "{error}");
    }

    proptest! {
        #[test]
        fn every_place_is_in_the_folder(path in "[a-z./]{0,20}") {
            let (_root, counters) = fixture();
            let guest = counters.of_guest(1);
            if let Ok(place) = guest.place(&path) {
                prop_assert!(place.starts_with(&guest.folder));
                prop_assert!(!place.components().any(|part| part == Component::ParentDir));
            }
        }
    }
}
