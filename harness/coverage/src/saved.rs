//! Coverage of a run: read from its counters, and stored in the folder of the run.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    measure::{Coverage, FileCoverage},
    tracefile::Tracefile,
};

/// Name of the file with the coverage in a run's folder.
const SAVED: &str = "coverage.json";

/// Why there is no coverage.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// A file operation failed.
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    /// The file is malformed.
    #[error("{} is not the coverage of a run: {error}", path.display())]
    Malformed {
        path: PathBuf,
        error: serde_json::Error,
    },
}

impl Coverage {
    /// Combines a tracefile with the source, which is beside the counters.
    pub fn of_trace(trace: &Tracefile, counters: &Path) -> Result<Self, SavedError> {
        let mut coverage = Self::default();
        for (path, hits) in &trace.files {
            let source = read(&counters.join(path))?;
            let file = FileCoverage::new(hits, &source);
            coverage.files.insert(path.clone(), file);
        }
        Ok(coverage)
    }

    /// Writes it into the folder of a run.
    pub fn save(&self, folder: &Path) -> Result<(), SavedError> {
        let path = folder.join(SAVED);
        match serde_json::to_string(self) {
            Ok(text) => fs::write(&path, text).map_err(|error| SavedError::Io { path, error }),
            Err(error) => Err(SavedError::Malformed { path, error }),
        }
    }

    /// Reads the coverage of a run, given the run's folder or the file in it.
    pub fn load(run: &Path) -> Result<Self, SavedError> {
        let path = if run.is_dir() {
            run.join(SAVED)
        } else {
            run.to_owned()
        };
        serde_json::from_str(&read(&path)?).map_err(|error| SavedError::Malformed { path, error })
    }
}

fn read(path: &Path) -> Result<String, SavedError> {
    fs::read_to_string(path).map_err(|error| SavedError::Io {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_saved_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut coverage = Coverage::default();
        coverage
            .files
            .insert("drivers/vfio/group.c".to_owned(), FileCoverage::default());
        coverage.save(folder.path()).unwrap();
        assert_eq!(Coverage::load(folder.path()).unwrap(), coverage);
        let file = folder.path().join(SAVED);
        assert_eq!(Coverage::load(&file).unwrap(), coverage);
    }

    #[rstest]
    #[case::empty("", "is not the coverage of a run")]
    #[case::something_else("[1]", "is not the coverage of a run")]
    fn a_file_with_something_else_is_named(#[case] text: &str, #[case] says: &str) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(SAVED), text).unwrap();
        let error = Coverage::load(folder.path()).unwrap_err().to_string();
        assert!(error.contains(says) && error.contains(SAVED), "{error}");
    }
}
