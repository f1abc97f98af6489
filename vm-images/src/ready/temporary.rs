//! Folders that live as long as what was unpacked into them.

use std::{
    path::PathBuf,
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
        // Its owner may have removed it.
        let _ = std::fs::remove_dir_all(folder);
    }
}

fn all() -> MutexGuard<'static, Vec<PathBuf>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}
