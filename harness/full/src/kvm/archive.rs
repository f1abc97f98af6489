//! Files for the initramfs of the emulated host. It is the whole root file system: nothing has to
//! be mounted or formatted.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use vm_images::Entry;

use crate::FullError;

/// The contents of an archive.
#[derive(Debug, Default)]
pub struct Archive {
    entries: Vec<Entry>,
    there: BTreeSet<PathBuf>,
}

impl Archive {
    /// Returns all entries, folders before their contents.
    pub fn into_entries(self) -> Vec<Entry> {
        self.entries
    }

    /// Adds a folder and its parents.
    pub fn folder(&mut self, at: &Path) {
        let mut above: Vec<_> = at.ancestors().collect();
        above.reverse();
        for folder in above {
            let name = name_of(folder);
            if !name.is_empty() && self.there.insert(folder.to_owned()) {
                self.entries.push(Entry::Dir { name });
            }
        }
    }

    /// Adds a file with this content.
    pub fn bytes(&mut self, at: &Path, mode: u32, content: Vec<u8>) {
        if let Some(folder) = at.parent() {
            self.folder(folder);
        }
        if self.there.insert(at.to_owned()) {
            let name = name_of(at);
            self.entries.push(Entry::File {
                name,
                mode,
                content,
            });
        }
    }

    /// Adds a copy of a file; links are followed.
    pub fn file(&mut self, from: &Path, at: &Path, mode: u32) -> Result<(), FullError> {
        if !self.there.contains(at) {
            self.bytes(
                at,
                mode,
                fs::read(from).map_err(FullError::file("reading", from))?,
            );
        }
        Ok(())
    }

    /// Adds the files below a folder that the filter accepts. None can be executed.
    pub fn below(
        &mut self,
        from: &Path,
        at: &Path,
        wanted: &dyn Fn(&fs::Metadata) -> bool,
    ) -> Result<(), FullError> {
        self.tree(from, at, 0o644, wanted)
    }

    /// Adds all files below a folder, as programs.
    pub fn programs_below(&mut self, from: &Path, at: &Path) -> Result<(), FullError> {
        self.tree(from, at, 0o755, &|_| true)
    }

    fn tree(
        &mut self,
        from: &Path,
        at: &Path,
        mode: u32,
        wanted: &dyn Fn(&fs::Metadata) -> bool,
    ) -> Result<(), FullError> {
        let entries = fs::read_dir(from).map_err(FullError::file("reading", from))?;
        for entry in entries {
            let path = entry.map_err(FullError::file("reading", from))?.path();
            let at = at.join(path.file_name().unwrap_or_default());
            // Skip dangling links.
            let Ok(metadata) = fs::metadata(&path) else {
                continue;
            };
            if metadata.is_dir() {
                self.tree(&path, &at, mode, wanted)?;
            } else if wanted(&metadata) {
                self.file(&path, &at, mode)?;
            }
        }
        Ok(())
    }

    /// Adds other entries.
    pub fn extend(&mut self, entries: Vec<Entry>) {
        self.entries.extend(entries);
    }
}

/// Names have no leading slash.
fn name_of(path: &Path) -> String {
    let name = path.to_string_lossy();
    name.trim_start_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_first_and_once() {
        let mut archive = Archive::default();
        archive.bytes(Path::new("/a/b/c"), 0o644, b"x".to_vec());
        archive.bytes(Path::new("/a/b/d"), 0o644, b"y".to_vec());
        archive.bytes(Path::new("/a/b/d"), 0o644, b"twice".to_vec());
        let names: Vec<_> = archive
            .into_entries()
            .iter()
            .map(|entry| match entry {
                Entry::Dir { name } | Entry::File { name, .. } => name.clone(),
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(names, ["a", "a/b", "a/b/c", "a/b/d"]);
    }
}
