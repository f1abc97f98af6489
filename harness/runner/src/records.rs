//! Reads the record of a run.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::record::Record;

/// The file is not the record of a run.
#[derive(Debug, thiserror::Error)]
#[error("{} is not the record of a run: {why}", path.display())]
pub struct NoRecord {
    path: PathBuf,
    why: String,
}

/// The records in a run's folder, by case.
pub fn records(folder: &Path) -> Result<BTreeMap<String, Record>, NoRecord> {
    let path = folder.join("records.jsonl");
    let no_record = |why: String| NoRecord {
        path: path.clone(),
        why,
    };
    let text = fs::read_to_string(&path).map_err(|error| no_record(error.to_string()))?;
    text.lines()
        .map(|line| {
            let record: Record =
                serde_json::from_str(line).map_err(|error| no_record(error.to_string()))?;
            Ok((record.id.clone(), record))
        })
        .collect()
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
