//! Applies a mutant to the tree, and always reverts it.
//!
//! Before a file is changed, its text is copied to an undo folder. This run restores it at its end,
//! or the next run at its start. So neither Ctrl-C nor SIGKILL leaves a bug in the tree.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A file of the tree could not be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {source}; check free space and permissions, and run again",
         path.display())]
pub struct PatchError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// Changed files, which are restored when this is dropped.
#[derive(Debug)]
pub struct Patch {
    tree: PathBuf,
    undo: PathBuf,
}

impl Patch {
    /// Changes files of the tree, given their paths from its top and their new texts.
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

    /// Reverts the change, and returns an error if that fails.
    pub fn take_back(self) -> Result<(), PatchError> {
        restore(&self.tree, &self.undo)
    }
}

impl Drop for Patch {
    fn drop(&mut self) {
        // If this fails, the next run tries again.
        let _ = restore(&self.tree, &self.undo);
    }
}

/// Restores the files in the undo folder.
pub fn restore(tree: &Path, undo: &Path) -> Result<(), PatchError> {
    let Ok(entries) = fs::read_dir(undo) else {
        return Ok(());
    };
    for entry in entries {
        let path = entry.map_err(failed("read", undo))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // An unfinished copy is of a file that was not changed.
        if let Some(file) = original(&name) {
            let target = tree.join(file);
            // Write instead of rename, so that make sees a new modification time.
            let text = fs::read(&path).map_err(failed("read", &path))?;
            fs::write(&target, text).map_err(failed("write", &target))?;
        }
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    Ok(())
}

/// Copies the text of a file to the undo folder atomically.
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
        // kill -9 does not run destructors.
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
