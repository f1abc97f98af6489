//! Stored transcripts, in insta's file format, so that `cargo insta review` reads them too.
//!
//! A snapshot falls back from the specific to the general: `NAME@PLATFORM-SERIES.snap`,
//! `NAME@PLATFORM.snap`, `NAME@SERIES.snap`, `NAME.snap`. Only a difference is stored: a
//! transcript that equals what the fallback gives needs no file of its own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use similar::TextDiff;

/// Snapshots of one platform and kernel series.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    /// From the specific to the general; the last one is empty.
    suffixes: Vec<String>,
    mode: Mode,
}

/// What to do about a transcript that is not as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is a failure.
    Check,
    /// Store it.
    Bless,
    /// Do not look.
    Ignore,
}

/// What a comparison found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compared {
    /// As stored, or not looked at.
    Same,
    /// Different or not stored: the difference, in words.
    Different(String),
    /// Stored now; what changed.
    Blessed(String),
}

/// Platform whose transcripts are the general ones.
const GENERAL_PLATFORM: &str = "intel";

impl Store {
    /// Snapshots below `root` for a platform and a kernel release.
    #[must_use]
    pub fn new(root: &Path, platform: &str, release: &str, mode: Mode) -> Self {
        let series: Vec<_> = release.split('.').take(2).collect();
        let series = series.join(".");
        let suffixes = [
            format!("@{platform}-{series}"),
            format!("@{platform}"),
            format!("@{series}"),
            String::new(),
        ];
        Self {
            root: root.to_owned(),
            suffixes: suffixes.to_vec(),
            mode,
        }
    }

    /// Compares a transcript with the stored one, or stores it.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn compare(&self, id: &str, transcript: &str) -> io::Result<Compared> {
        if self.mode == Mode::Ignore {
            return Ok(Compared::Same);
        }
        let stored = self.stored(id)?;
        if stored
            .as_ref()
            .is_some_and(|(_, text)| text.trim_end() == transcript.trim_end())
        {
            return Ok(Compared::Same);
        }
        let old = stored.as_ref().map_or("", |(_, text)| text.as_str());
        let diff = diff(old, transcript);
        if self.mode == Mode::Check {
            let what = match stored {
                Some((path, _)) => format!("differs from {}", path.display()),
                None => "has no snapshot".to_owned(),
            };
            let how = "`cargo xtask run-conformance --bless` accepts it";
            return Ok(Compared::Different(format!(
                "the transcript {what}; {how}\n{diff}"
            )));
        }
        let suffix = self.suffix_to_bless();
        let path = self.path(id, suffix);
        if !suffix.is_empty()
            && path.exists()
            && self.general(id)?.as_deref() == Some(transcript.trim_end())
        {
            // What was different here is no more.
            fs::remove_file(&path)?;
            return Ok(Compared::Blessed(format!("{} (gone)", path.display())));
        }
        write(&path, id, transcript)?;
        Ok(Compared::Blessed(format!("{}\n{diff}", path.display())))
    }

    /// The general snapshot is made by the default platform; others store what differs.
    fn suffix_to_bless(&self) -> &str {
        let general = self
            .suffixes
            .iter()
            .any(|suffix| suffix == &format!("@{GENERAL_PLATFORM}"));
        if general {
            ""
        } else {
            self.suffixes.get(1).map_or("", String::as_str)
        }
    }

    fn general(&self, id: &str) -> io::Result<Option<String>> {
        let stored = Self::read(self.path(id, ""))?;
        Ok(stored.map(|(_, text)| text.trim_end().to_owned()))
    }

    fn stored(&self, id: &str) -> io::Result<Option<(PathBuf, String)>> {
        for suffix in &self.suffixes {
            if let Some(stored) = Self::read(self.path(id, suffix))? {
                return Ok(Some(stored));
            }
        }
        Ok(None)
    }

    fn read(path: PathBuf) -> io::Result<Option<(PathBuf, String)>> {
        if !path.exists() {
            return Ok(None);
        }
        let snapshot = insta::Snapshot::from_file(&path)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let text = snapshot
            .as_text()
            .map(ToString::to_string)
            .unwrap_or_default();
        Ok(Some((path, text)))
    }

    fn path(&self, id: &str, suffix: &str) -> PathBuf {
        self.root.join(format!("{id}{suffix}.snap"))
    }

    /// Snapshots that belong to no case any more.
    #[must_use]
    pub fn orphans<'a>(&self, ids: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
        let ids: std::collections::BTreeSet<_> = ids.collect();
        let mut orphans = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if !self.belongs(&path, &ids) {
                    orphans.push(path);
                }
            }
        }
        orphans.sort();
        orphans
    }

    fn belongs(&self, path: &Path, ids: &std::collections::BTreeSet<&str>) -> bool {
        let name = path
            .strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy();
        let Some(name) = name.strip_suffix(".snap") else {
            return true;
        };
        ids.contains(name.split('@').next().unwrap_or(name))
    }
}

fn write(path: &Path, id: &str, transcript: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(
        path,
        format!("---\nsource: cases\nexpression: {id}\n---\n{transcript}"),
    )
}

fn diff(old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut text = String::new();
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            similar::ChangeTag::Delete => '-',
            similar::ChangeTag::Insert => '+',
            similar::ChangeTag::Equal => continue,
        };
        text.push_str(&format!("  {sign}{}\n", change.value().trim_end()));
    }
    text
}
