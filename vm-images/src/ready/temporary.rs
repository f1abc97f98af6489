//! Folders that live as long as what was unpacked into them.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use tempfile::TempDir;

use crate::error::ImageError;

/// The folders of this process. One that is gone is not removed again.
static ALL: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Returns a folder that goes with its owner.
pub(super) fn folder() -> Result<TempDir, ImageError> {
    let made = tempfile::Builder::new()
        .prefix("iommufd-conformance-")
        .tempdir()
        .map_err(|source| ImageError::File {
            doing: "create a folder in",
            path: std::env::temp_dir(),
            hint: "make room on the disk, or set TMPDIR to a folder with 1 GB free",
            source,
        })?;
    all().push(made.path().to_owned());
    Ok(made)
}

/// Removes the folders for what was unpacked. For a process that ends by a signal, without its
/// destructors.
pub fn remove_temporary() {
    for folder in all().drain(..) {
        // Its owner may have removed it. A program that writes to it may not have ended yet, and then
        // a file is there again; what stays is removed by the next run.
        let _ = (0..TRIES).try_for_each(|_| match std::fs::remove_dir_all(&folder) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            other => Err(other),
        });
    }
}

/// How often a folder is tried to be removed.
const TRIES: usize = 5;

/// Lets a folder be removed by [`remove_temporary`].
pub(crate) fn register(folder: &Path) {
    all().push(folder.to_owned());
}

/// Takes that back.
pub(crate) fn unregister(folder: &Path) {
    all().retain(|known| known != folder);
}

fn all() -> MutexGuard<'static, Vec<PathBuf>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}
