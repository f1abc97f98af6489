//! Folders that live as long as what was unpacked into them.

use tempfile::TempDir;

use crate::error::ImageError;

/// Returns a folder that goes with its owner.
pub(super) fn folder() -> Result<TempDir, ImageError> {
    tempfile::Builder::new()
        .prefix("iommufd-conformance-")
        .tempdir()
        .map_err(|source| ImageError::File {
            doing: "create a folder in",
            path: std::env::temp_dir(),
            hint: "make room on the disk, or set TMPDIR to a folder with 1 GB free",
            source,
        })
}
