//! A mutant in the tree: written, and taken back whatever happens.
//!
//! Before a file changes, its text goes to an undo folder. Whoever finds something there, this
//! run at its end or the next one at its start, puts it back. So neither Ctrl-C nor a kill
//! leaves a bug in the tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file of the tree could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}; make room on the disk and run again", path.display())]
pub struct PatchError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Files that are changed until this goes away.
#[derive(Debug)]
pub struct Patch {
    tree: PathBuf,
    undo: PathBuf,
}

impl Patch {
    /// Changes files of the tree: path from its top, and the new text.
    pub fn apply(tree: &Path, undo: &Path, files: &[(String, String)]) -> Result<Self, PatchError> {
        restore(tree, undo)?;
        let patch = Self {
            tree: tree.to_owned(),
            undo: undo.to_owned(),
        };
        for (file, text) in files {
            keep(tree, undo, file)?;
            let path = tree.join(file);
            fs::write(&path, text).map_err(failed("write", &path))?;
        }
        Ok(patch)
    }

    /// Takes the change back, and says what went wrong.
    pub fn take_back(self) -> Result<(), PatchError> {
        restore(&self.tree, &self.undo)
    }
}

impl Drop for Patch {
    fn drop(&mut self) {
        // What fails here is tried again by the next run.
        let _ = restore(&self.tree, &self.undo);
    }
}

/// Puts back what the undo folder holds.
pub fn restore(tree: &Path, undo: &Path) -> Result<(), PatchError> {
    let Ok(entries) = fs::read_dir(undo) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry.map_err(failed("read", undo))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A copy that was not finished is of a file that was not changed.
        if let Some(file) = original(&name) {
            let target = tree.join(file);
            // A write and no rename: make has to see a new time.
            let text = fs::read(&path).map_err(failed("read", &path))?;
            fs::write(&target, text).map_err(failed("write", &target))?;
        }
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// Keeps the text of a file; it is there whole or not at all.
fn keep(tree: &Path, undo: &Path, file: &str) -> Result<(), PatchError> {
    fs::create_dir_all(undo).map_err(failed("create", undo))?;
    let half = undo.join("half");
    let whole = undo.join(kept_as(file));
    fs::copy(tree.join(file), &half).map_err(failed("copy", &tree.join(file)))?;
    fs::rename(&half, &whole).map_err(failed("create", &whole))
}

fn kept_as(file: &str) -> String {
    format!("file,{}", file.replace('/', ","))
}

fn original(name: &str) -> Option<String> {
    Some(name.strip_prefix("file,")?.replace(',', "/"))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PatchError {
    let path = path.to_owned();
    move |source| PatchError {
        doing,
        path,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(text: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let (tree, undo) = (root.path().join("tree"), root.path().join("undo"));
        fs::create_dir_all(tree.join("drivers/vfio")).unwrap();
        fs::write(tree.join("drivers/vfio/a.c"), text).unwrap();
        (root, tree, undo)
    }

    fn change(text: &str) -> Vec<(String, String)> {
        vec![("drivers/vfio/a.c".to_owned(), text.to_owned())]
    }

    fn text(tree: &Path) -> String {
        fs::read_to_string(tree.join("drivers/vfio/a.c")).unwrap()
    }

    proptest! {
        #[test]
        fn apply_and_take_back_is_nothing(old in "\\PC{0,40}", new in "\\PC{0,40}") {
            let (_root, tree, undo) = tree(&old);
            let patch = Patch::apply(&tree, &undo, &change(&new)).unwrap();
            prop_assert_eq!(text(&tree), new);
            patch.take_back().unwrap();
            prop_assert_eq!(text(&tree), old);
            prop_assert!(fs::read_dir(&undo).unwrap().next().is_none());
        }
    }

    #[test]
    fn what_a_killed_run_left_is_taken_back() {
        let (_root, tree, undo) = tree("old");
        // kill -9 runs no destructor.
        std::mem::forget(Patch::apply(&tree, &undo, &change("bug")).unwrap());
        fs::write(undo.join("half"), "of another file").unwrap();
        restore(&tree, &undo).unwrap();
        assert_eq!(text(&tree), "old");
    }

    #[test]
    fn a_second_change_begins_with_the_original() {
        let (_root, tree, undo) = tree("old");
        std::mem::forget(Patch::apply(&tree, &undo, &change("bug")).unwrap());
        drop(Patch::apply(&tree, &undo, &change("other")).unwrap());
        assert_eq!(text(&tree), "old");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let (_root, tree, undo) = tree("old");
        let none = vec![("drivers/none.c".to_owned(), String::new())];
        let error = Patch::apply(&tree, &undo, &none).unwrap_err().to_string();
        assert!(error.contains("none.c"), "{error}");
    }
}
