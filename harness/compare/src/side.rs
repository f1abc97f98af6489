//! One of the two runs.

use std::{collections::BTreeMap, fs, path::Path};

use runner::{
    record::{Record, RunFacts},
    records::{NoRecord, records},
    summary::Summary,
};

/// A run, with what the user called it.
#[derive(Debug, Clone)]
pub struct Side {
    /// What the user gave: a release, a revision, a file, a folder.
    pub name: String,
    pub facts: RunFacts,
    /// The records by their ids.
    pub records: BTreeMap<String, Record>,
}

/// Why a run cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SideError {
    #[error(transparent)]
    Record(#[from] NoRecord),
    #[error("{folder}/report.json is not the report of a run: {why}")]
    Report { folder: String, why: String },
    /// Its cases that were not judged would look as if they were gone.
    #[error("the run in {folder} was interrupted; run its cases again")]
    Interrupted { folder: String },
}

impl Side {
    /// Reads the record in a run's folder.
    pub fn load(name: &str, folder: &Path) -> Result<Self, SideError> {
        let records = records(folder)?;
        let shown = folder.display().to_string();
        let text = fs::read_to_string(folder.join("report.json"));
        let summary: Result<Summary, String> = text
            .map_err(|error| error.to_string())
            .and_then(|text| serde_json::from_str(&text).map_err(|error| error.to_string()));
        match summary {
            Ok(summary) if summary.run.interrupted => Err(SideError::Interrupted { folder: shown }),
            Ok(summary) => Ok(Self {
                name: name.to_owned(),
                facts: summary.run,
                records,
            }),
            Err(why) => Err(SideError::Report { folder: shown, why }),
        }
    }
}
