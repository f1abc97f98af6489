//! Reads the record of a run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use runner::record::Record;

use crate::FullError;

/// The records in a run's folder, by case.
pub fn records(folder: &Path) -> Result<BTreeMap<String, Record>, FullError> {
    let path = folder.join("records.jsonl");
    let text = fs::read_to_string(&path).map_err(|error| no_record(&path, error))?;
    text.lines()
        .map(|line| {
            let record: Record =
                serde_json::from_str(line).map_err(|error| no_record(&path, error))?;
            Ok((record.id.clone(), record))
        })
        .collect()
}

fn no_record(path: &Path, why: impl ToString) -> FullError {
    FullError::NoRecord {
        path: PathBuf::from(path),
        why: why.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_record_is_told() {
        let empty = tempfile::tempdir().unwrap();
        let error = records(empty.path()).unwrap_err().to_string();
        assert!(error.contains("records.jsonl is not the record"), "{error}");
    }
}
