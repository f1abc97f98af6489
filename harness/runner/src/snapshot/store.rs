//! Snapshot files on disk: read once in a run, and changed by one process at a time.

use std::{
    collections::BTreeMap,
    fs::{self, File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use case::Case;
use vm_images::Series;

use super::{
    diff::diff,
    mode::Mode,
    sections::{Change, Malformed, Section, Sections, canonical},
    variant::Variant,
};
use crate::root::root;

/// The snapshots as one run sees them.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    /// Section of this run's transcripts. The error is a kernel release without a series.
    own: Result<Variant, String>,
    mode: Mode,
    /// Whether the kernel is built as the one of the stored transcripts was.
    of_reference_build: bool,
    /// Files that were read, by case file.
    files: Mutex<BTreeMap<String, Arc<Sections>>>,
}

/// Identifies a transcript.
#[derive(Debug, Clone, Copy)]
pub struct Key<'a> {
    /// Path of the case file below the corpus, without its extension.
    pub file: &'a str,
    /// Id of the case.
    pub case: &'a str,
    /// Line of the case file.
    pub line: u32,
}

/// Result of a comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// Equal to the stored one, or not compared.
    Same,
    /// Different or not stored; a description of the difference.
    Different(String),
    /// Stored; a description of the change.
    Blessed(String),
}

/// Why a snapshot cannot be compared or stored.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file operation failed.
    #[error("{doing} {}: {error}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What happened.
        error: io::Error,
    },
    /// The file is malformed.
    #[error(
        "{}:{}: {}; correct it, or delete the file and store it again with `--bless`",
        path.display(), malformed.line, malformed.syntax
    )]
    Malformed {
        path: PathBuf,
        /// The error.
        malformed: Malformed,
    },
    /// The kernel's series is unknown, so the section cannot be chosen.
    #[error(
        "the kernel's release is `{0}`, which has no series such as 7.3; use `--no-snapshots` to \
         run without comparing transcripts"
    )]
    NoSeries(String),
}

impl<'a> From<&'a Case> for Key<'a> {
    fn from(case: &'a Case) -> Self {
        Self {
            file: &case.file,
            case: &case.id,
            line: case.at.line,
        }
    }
}

/// The transcript of one case in a run.
#[derive(Clone, Copy)]
struct Seen<'a> {
    key: Key<'a>,
    own: &'a Variant,
    transcript: &'a str,
}

impl Store {
    /// Opens the snapshots below `root` for a platform and a kernel release.
    pub fn new(root: &Path, platform: &str, release: &str, mode: Mode) -> Self {
        let series = Series::of_release(release).ok_or_else(|| release.to_owned());
        Self {
            root: root.to_owned(),
            own: series.map(|series| Variant::of(platform, series)),
            mode,
            of_reference_build: true,
            files: Mutex::default(),
        }
    }

    /// The same snapshots for a kernel of another flavour, fragment or compiler. Its transcripts
    /// are compared with the same sections. Only those of cases that have none are stored: the
    /// others would replace what every other build of the kernel does.
    pub fn of_another_build(self) -> Self {
        Self {
            of_reference_build: false,
            ..self
        }
    }

    /// What is done about a transcript that is not as stored.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Compares a transcript with the stored one, and proposes or stores it if the mode says so.
    pub fn compare(&self, key: Key<'_>, transcript: &str) -> Result<Compared, SnapshotError> {
        if self.mode == Mode::Ignore {
            return Ok(Compared::Same);
        }
        let own = self.own.as_ref();
        let own = own.map_err(|release| SnapshotError::NoSeries(release.clone()))?;
        let transcript = &canonical(transcript);
        let seen = Seen {
            key,
            own,
            transcript,
        };
        let stored = self.read_once(key.file)?;
        let difference = self.difference(seen, &stored);
        let replaces = |it: &Difference| it.section.is_some() && !self.of_reference_build;
        match (self.mode, difference) {
            (_, Some(difference)) if replaces(&difference) => Ok(Compared::Different(
                difference.text("only a kernel of the default build can replace it"),
            )),
            (Mode::Propose, difference) => Ok(self.propose(seen, difference)),
            (Mode::Bless, difference) => self.bless(seen, difference.is_some()),
            (Mode::Check | Mode::Ignore, None) => Ok(Compared::Same),
            (Mode::Check | Mode::Ignore, Some(difference)) => Ok(Compared::Different(
                difference.text("accept it with `cargo xtask run-conformance --bless`"),
            )),
        }
    }

    fn difference(&self, seen: Seen<'_>, stored: &Sections) -> Option<Difference> {
        let found = stored.lookup(seen.key.case, seen.own);
        if found.as_ref().map(|(_, text)| *text) == Some(seen.transcript) {
            return None;
        }
        let old = found.as_ref().map_or("", |(_, text)| text);
        let lines = diff(old, seen.transcript);
        Some(Difference {
            path: shown(&self.path(seen.key.file)),
            section: found.map(|(section, _)| section),
            lines,
        })
    }

    /// Writes the new file beside the stored one. An error is reported but does not change the
    /// verdict.
    fn propose(&self, seen: Seen<'_>, difference: Option<Difference>) -> Compared {
        let Some(difference) = difference else {
            if self.is_proposed(seen) {
                let _ = self.update(seen);
            }
            return Compared::Same;
        };
        let how = match self.update(seen) {
            Ok(_) => "accept it with `cargo insta review` or `--bless`".to_owned(),
            Err(error) => format!(
                "accept it with `--bless`; it could not be proposed to `cargo \
                                   insta review`: {error}"
            ),
        };
        Compared::Different(difference.text(&how))
    }

    fn bless(&self, seen: Seen<'_>, differs: bool) -> Result<Compared, SnapshotError> {
        if !differs && !self.is_proposed(seen) {
            return Ok(Compared::Same);
        }
        let (before, changes) = self.update(seen)?;
        if changes.is_empty() {
            return Ok(Compared::Same);
        }
        let path = shown(&self.path(seen.key.file)).display().to_string();
        let each = changes.iter().map(|change| match change {
            Change::Written(section) => format!("{path}, section `{section}`"),
            Change::Removed(section) => {
                format!(
                    "{path}, section `{section}`: removed, because it equals the section that \
                         it falls back to"
                )
            }
        });
        let each: Vec<_> = each.collect();
        let lines = diff(&before, seen.transcript);
        Ok(Compared::Blessed(format!("{}\n{lines}", each.join("\n"))))
    }

    /// Updates the stored file, if this run blesses, and the proposed one, which is deleted when it
    /// equals the stored file. Returns the transcript that was stored for this run before, and the
    /// changes.
    fn update(&self, seen: Seen<'_>) -> Result<(String, Vec<Change>), SnapshotError> {
        let _lock = self.lock()?;
        let Seen {
            key,
            own,
            transcript,
        } = seen;
        let path = self.path(key.file);
        // Another process may have changed it in the meantime.
        let mut stored = read(&path)?;
        let before = stored.lookup(key.case, own);
        let before = before.map_or(String::new(), |(_, text)| text.to_owned());
        let proposed = proposed(&path).unwrap_or_else(|| stored.clone());
        let source = source(key.file);
        let mut changes = Vec::new();
        if self.mode == Mode::Bless {
            changes = stored.accept(key.case, own, transcript);
            if !changes.is_empty() {
                write(&path, &stored.render(&source, None))?;
            }
        }
        self.propose_file(seen, &stored, proposed, &source)?;
        self.files().insert(key.file.to_owned(), Arc::new(stored));
        Ok((before, changes))
    }

    fn propose_file(
        &self,
        seen: Seen<'_>,
        stored: &Sections,
        mut proposed: Sections,
        source: &str,
    ) -> Result<(), SnapshotError> {
        let path = pending(&self.path(seen.key.file));
        proposed.accept(seen.key.case, seen.own, seen.transcript);
        if proposed != *stored {
            return write(&path, &proposed.render(source, Some(seen.key.line)));
        }
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SnapshotError::io("removing", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn is_proposed(&self, seen: Seen<'_>) -> bool {
        pending(&self.path(seen.key.file)).exists()
    }

    fn read_once(&self, file: &str) -> Result<Arc<Sections>, SnapshotError> {
        if let Some(sections) = self.files().get(file) {
            return Ok(Arc::clone(sections));
        }
        let sections = Arc::new(read(&self.path(file))?);
        self.files().insert(file.to_owned(), Arc::clone(&sections));
        Ok(sections)
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Sections>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.root.join(format!("{file}.snap"))
    }

    /// Locks the folder, so that only one process or thread changes files. The lock is on the
    /// folder itself and leaves no file behind; dropping it unlocks.
    fn lock(&self) -> Result<File, SnapshotError> {
        let failed = SnapshotError::io("locking", &self.root);
        fs::create_dir_all(&self.root).map_err(SnapshotError::io("making", &self.root))?;
        let folder = File::open(&self.root).and_then(|folder| folder.lock().map(|()| folder));
        folder.map_err(failed)
    }
}

impl SnapshotError {
    fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = shown(path);
        move |error| Self::Io { doing, path, error }
    }
}

/// A transcript that differs from the stored one.
struct Difference {
    path: PathBuf,
    /// The section that it was compared with.
    section: Option<Section>,
    lines: String,
}

impl Difference {
    fn text(&self, how: &str) -> String {
        let path = self.path.display();
        let what = match &self.section {
            Some(section) => format!("differs from {path}, section `{section}`"),
            None => format!("has no section in {path}"),
        };
        format!("the transcript {what}; {how}\n{}", self.lines)
    }
}

/// Returns the path relative to the project, if it is in the project.
pub(super) fn shown(path: &Path) -> PathBuf {
    path.strip_prefix(root()).unwrap_or(path).to_owned()
}

/// Path at which insta looks for a proposed replacement of a file.
fn pending(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// The case file, for insta's metadata.
pub(super) fn source(file: &str) -> String {
    format!("cases/{file}.yaml")
}

/// Reads a file. A file that does not exist has no sections.
fn read(path: &Path) -> Result<Sections, SnapshotError> {
    if path.exists() {
        parse(path, &read_text(path)?)
    } else {
        Ok(Sections::default())
    }
}

pub(super) fn read_text(path: &Path) -> Result<String, SnapshotError> {
    fs::read_to_string(path).map_err(SnapshotError::io("reading", path))
}

pub(super) fn parse(path: &Path, text: &str) -> Result<Sections, SnapshotError> {
    let path = shown(path);
    Sections::parse(text).map_err(|malformed| SnapshotError::Malformed { path, malformed })
}

/// Returns what earlier runs proposed, unless the stored file has changed since.
fn proposed(path: &Path) -> Option<Sections> {
    let modified = |path: &Path| fs::metadata(path).and_then(|it| it.modified()).ok();
    let pending = pending(path);
    let written = modified(&pending)?;
    if modified(path).is_some_and(|stored| written < stored) {
        return None;
    }
    Sections::parse(&fs::read_to_string(pending).ok()?).ok()
}

/// Replaces a file atomically.
fn write(path: &Path, text: &str) -> Result<(), SnapshotError> {
    let failed = SnapshotError::io("writing", path);
    let replace = || {
        let folder = path.parent().unwrap_or(path);
        fs::create_dir_all(folder)?;
        let mut file = tempfile::Builder::new()
            .prefix(".")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    replace().map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::time::{Duration, SystemTime};

    use rstest::rstest;

    use super::*;

    /// A folder with the snapshots of one case file.
    struct Folder(tempfile::TempDir);

    impl Folder {
        /// A folder with transcripts that the reference has stored.
        fn with(transcripts: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (row, transcript) in transcripts {
                folder.run("intel", "7.3.4", Mode::Bless, row, transcript);
            }
            folder
        }

        fn run(
            &self,
            platform: &str,
            release: &str,
            mode: Mode,
            row: &str,
            text: &str,
        ) -> Compared {
            let store = Store::new(self.0.path(), platform, release, mode);
            store
                .compare(Self::key(&format!("a/b/{row}")), text)
                .unwrap()
        }

        fn key(case: &str) -> Key<'_> {
            Key {
                file: "a/b",
                case,
                line: 3,
            }
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("a/b.snap")
        }

        /// Returns the stored file without its metadata.
        fn stored(&self) -> String {
            body(&self.path())
        }

        /// Returns the proposed file.
        fn proposed(&self) -> Option<String> {
            let path = pending(&self.path());
            path.exists().then(|| body(&path))
        }

        /// Changes the time of the stored file, as if it had changed after the proposal.
        fn stored_at(&self, time: SystemTime) {
            let file = File::options().write(true).open(self.path()).unwrap();
            file.set_modified(time).unwrap();
        }

        /// Returns the text without the name of the folder.
        fn shown(&self, compared: Compared) -> String {
            let (Compared::Different(text) | Compared::Blessed(text)) = compared else {
                return "same".to_owned();
            };
            text.replace(&self.0.path().display().to_string(), "SNAPSHOTS")
        }
    }

    fn body(path: &Path) -> String {
        let text = fs::read_to_string(path).unwrap();
        text.splitn(3, "---\n").nth(2).unwrap().to_owned()
    }

    #[test]
    fn another_build_stores_only_what_no_build_has_stored() {
        let folder = Folder::with(&[("x", "1 open: success")]);
        let store = Store::new(folder.0.path(), "intel", "7.3.4", Mode::Bless).of_another_build();
        let compare = |row: &str, text| store.compare(Folder::key(row), text).unwrap();
        assert_eq!(compare("a/b/x", "1 open: success"), Compared::Same);
        assert!(matches!(
            compare("a/b/x", "1 open: EPERM"),
            Compared::Different(_)
        ));
        assert!(matches!(
            compare("a/b/y", "1 open: EPERM"),
            Compared::Blessed(_)
        ));
        let again = folder.run("intel", "7.3.4", Mode::Check, "x", "1 open: success");
        assert_eq!(again, Compared::Same);
    }

    #[test]
    fn a_difference_in_one_field_is_shown_with_file_and_section() {
        let folder = Folder::with(&[("x", "1 open: success\n2 GET_INFO: success {flags: 0x1}\n")]);
        let changed = "1 open: success\n2 GET_INFO: success {flags: 0x3}\n";
        let told = |mode, row| folder.shown(folder.run("intel", "7.3.4", mode, row, changed));
        insta::assert_snapshot!(told(Mode::Check, "x"), @r"
        the transcript differs from SNAPSHOTS/a/b.snap, section `a/b/x`; accept it with `cargo xtask run-conformance --bless`
          -2 GET_INFO: success {flags: 0x1}
          +2 GET_INFO: success {flags: 0x3}
        ");
        insta::assert_snapshot!(told(Mode::Propose, "y"), @r"
        the transcript has no section in SNAPSHOTS/a/b.snap; accept it with `cargo insta review` or `--bless`
          +1 open: success
          +2 GET_INFO: success {flags: 0x3}
        ");
        insta::assert_snapshot!(told(Mode::Bless, "x"), @r"
        SNAPSHOTS/a/b.snap, section `a/b/x`
          -2 GET_INFO: success {flags: 0x1}
          +2 GET_INFO: success {flags: 0x3}
        ");
        assert_eq!(told(Mode::Check, "x"), "same");
        assert_eq!(told(Mode::Ignore, "z"), "same");
    }

    #[rstest]
    #[case("virtio", "7.3.4", "# a/b/x @virtio")]
    #[case("intel", "6.12.95", "# a/b/x @6.12")]
    #[case("virtio", "6.12.95", "# a/b/x @virtio-6.12")]
    fn elsewhere_a_run_leaves_the_general_section_alone(
        #[case] platform: &str,
        #[case] release: &str,
        #[case] section: &str,
    ) {
        let folder = Folder::with(&[("x", "1"), ("y", "2")]);
        let run = |mode, text| folder.run(platform, release, mode, "x", text);
        let special = format!("# a/b/x\n1\n\n{section}\n9\n\n# a/b/y\n2\n");
        assert!(matches!(run(Mode::Propose, "9"), Compared::Different(_)));
        assert_eq!(folder.proposed(), Some(special.clone()));
        assert_eq!(folder.stored(), "# a/b/x\n1\n\n# a/b/y\n2\n");
        assert!(matches!(run(Mode::Bless, "9"), Compared::Blessed(_)));
        assert_eq!(folder.stored(), special);
        assert_eq!(folder.proposed(), None);
        assert_eq!(run(Mode::Check, "9"), Compared::Same);
        let removed = folder.shown(run(Mode::Bless, "1"));
        assert!(
            removed.contains("removed, because it equals the section that it falls back to"),
            "{removed}"
        );
        assert_eq!(folder.stored(), "# a/b/x\n1\n\n# a/b/y\n2\n");
    }

    #[test]
    fn what_is_proposed_is_a_whole_file_and_goes_when_a_later_run_agrees() {
        let folder = Folder::with(&[("x", "1"), ("y", "2"), ("z", "3")]);
        let run = |row, text| folder.run("intel", "7.3.4", Mode::Propose, row, text);
        run("x", "7");
        run("y", "8");
        assert_eq!(
            folder.proposed().as_deref(),
            Some("# a/b/x\n7\n\n# a/b/y\n8\n\n# a/b/z\n3\n")
        );
        assert_eq!(run("x", "1"), Compared::Same);
        assert_eq!(
            folder.proposed().as_deref(),
            Some("# a/b/x\n1\n\n# a/b/y\n8\n\n# a/b/z\n3\n")
        );
        run("y", "2");
        assert_eq!(folder.proposed(), None);
    }

    #[test]
    fn all_cases_of_a_new_file_are_proposed() {
        let folder = Folder::with(&[]);
        for row in ["x", "y"] {
            folder.run("intel", "7.3.4", Mode::Propose, row, "1");
        }
        assert_eq!(
            folder.proposed().as_deref(),
            Some("# a/b/x\n1\n\n# a/b/y\n1\n")
        );
    }

    #[test]
    fn what_is_stored_is_proposed_no_more_and_the_rest_still_is() {
        let folder = Folder::with(&[("x", "1"), ("y", "2")]);
        let run = |mode, row, text| folder.run("intel", "7.3.4", mode, row, text);
        run(Mode::Propose, "x", "7");
        run(Mode::Propose, "y", "8");
        run(Mode::Bless, "x", "7");
        assert_eq!(folder.stored(), "# a/b/x\n7\n\n# a/b/y\n2\n");
        assert_eq!(
            folder.proposed().as_deref(),
            Some("# a/b/x\n7\n\n# a/b/y\n8\n")
        );
        run(Mode::Bless, "y", "2");
        assert_eq!(folder.proposed(), None);
    }

    #[test]
    fn a_proposal_for_an_older_file_is_made_anew() {
        let folder = Folder::with(&[("x", "1"), ("y", "2")]);
        let run = |row, text| folder.run("intel", "7.3.4", Mode::Propose, row, text);
        run("x", "7");
        folder.stored_at(SystemTime::now() + Duration::from_secs(60));
        run("y", "8");
        assert_eq!(
            folder.proposed().as_deref(),
            Some("# a/b/x\n1\n\n# a/b/y\n8\n")
        );
    }

    #[test]
    fn a_run_that_cannot_propose_says_so_and_its_verdicts_stay() {
        let folder = Folder::with(&[("x", "1")]);
        fs::create_dir(pending(&folder.path())).unwrap();
        let run = |text| folder.run("intel", "7.3.4", Mode::Propose, "x", text);
        assert_eq!(run("1"), Compared::Same);
        let text = folder.shown(run("7"));
        assert!(
            text.contains(
                "it could not be proposed to `cargo insta review`: writing \
                           SNAPSHOTS/a/b.snap.new"
            ),
            "{text}"
        );
        assert_eq!(folder.stored(), "# a/b/x\n1\n");
    }

    #[test]
    fn a_check_writes_nothing() {
        let folder = Folder::with(&[("x", "1")]);
        folder.run("intel", "7.3.4", Mode::Check, "x", "7");
        assert_eq!(folder.proposed(), None);
        assert_eq!(folder.stored(), "# a/b/x\n1\n");
    }

    #[test]
    fn a_malformed_file_is_shown_with_its_line() {
        let folder = Folder::with(&[("x", "1")]);
        fs::write(folder.path(), "---\n---\n# a/b/x\n1\n# a/b/x\n").unwrap();
        let store = Store::new(folder.0.path(), "intel", "7.3.4", Mode::Bless);
        let error = store
            .compare(Folder::key("a/b/x"), "1")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error.replace(&folder.0.path().display().to_string(), "SNAPSHOTS"),
            "SNAPSHOTS/a/b.snap:5: a second section `a/b/x`: keep one of them; \
             correct it, or delete the file and store it again with `--bless`"
        );
    }

    #[test]
    fn a_release_without_a_series_is_compared_with_nothing() {
        let folder = Folder::with(&[]);
        let store = Store::new(folder.0.path(), "intel", "next", Mode::Bless);
        let error = store.compare(Folder::key("a/b/x"), "1").unwrap_err();
        assert!(error.to_string().contains("`next`, which has no series"));
    }

    #[test]
    fn runs_at_once_lose_no_section() {
        let folder = Folder::with(&[]);
        let platforms = ["intel", "virtio", "amd"];
        let rows: Vec<_> = (10..30).map(|row| format!("a/b/{row}")).collect();
        std::thread::scope(|scope| {
            for platform in platforms {
                // Two workers of one run, and separate runs.
                let store = Arc::new(Store::new(folder.0.path(), platform, "7.3", Mode::Bless));
                for half in rows.chunks(10) {
                    let store = Arc::clone(&store);
                    scope.spawn(move || {
                        for case in half {
                            store.compare(Folder::key(case), platform).unwrap();
                        }
                    });
                }
            }
        });
        let stored = read(&folder.path()).unwrap();
        for platform in platforms {
            let own = Variant::of(platform, Series { major: 7, minor: 3 });
            for case in &rows {
                let found = stored.lookup(case, &own);
                assert_eq!(found.map(|(_, text)| text), Some(platform), "{case}");
            }
        }
        let left = fs::read_dir(folder.0.path().join("a")).unwrap().count();
        assert_eq!(left, 1);
    }
}
