//! Stores the result of a KVM trial in the cache: a success for good, a failure for a day.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

/// A failure may have a temporary cause: a busy machine, a missing module, a setting.
const REFUSAL_LASTS: Duration = Duration::from_secs(24 * 60 * 60);

/// Result of a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kvm")]
pub enum TrialResult {
    /// The kernel booted and the guest was set up.
    Works,
    /// The kernel did not boot.
    Refused {
        /// The reason, in one line.
        why: String,
        /// Console of the trial.
        console: PathBuf,
        /// Time of the trial, in seconds since 1970.
        at: u64,
    },
}

impl TrialResult {
    /// Returns a failure with the current time.
    pub fn refused(why: String, console: PathBuf) -> Self {
        let at = seconds(SystemTime::now());
        Self::Refused { why, console, at }
    }

    fn holds_at(&self, now: SystemTime) -> bool {
        match self {
            Self::Works => true,
            // A time in the future, after the clock was set back, does not count.
            Self::Refused { at, .. } => {
                let age = seconds(now).checked_sub(*at);
                age.is_some_and(|age| age < REFUSAL_LASTS.as_secs())
            }
        }
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// Where the result of one kind of trial is kept.
#[derive(Debug)]
pub struct Memory {
    folder: PathBuf,
    name: String,
}

impl Memory {
    /// Returns the place of the trial that `parts` identify.
    pub fn of(folder: &Path, parts: &[&str]) -> Self {
        let mut name = vm_images::hash(parts.iter().map(|part| part.as_bytes()));
        name.truncate(16);
        Self {
            folder: folder.to_owned(),
            name,
        }
    }

    /// Console of the trial.
    pub fn console(&self) -> PathBuf {
        self.folder.join(format!("{}.console.log", self.name))
    }

    fn path(&self) -> PathBuf {
        self.folder.join(format!("{}.json", self.name))
    }

    /// Returns the stored result if it still holds.
    pub fn recall(&self) -> Option<TrialResult> {
        self.recall_at(SystemTime::now())
    }

    fn recall_at(&self, now: SystemTime) -> Option<TrialResult> {
        let text = fs::read_to_string(self.path()).ok()?;
        let result: TrialResult = serde_json::from_str(&text).ok()?;
        Some(result).filter(|result| result.holds_at(now))
    }

    /// Makes the folder for the console and the result.
    pub fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)
    }

    /// Stores a result atomically.
    pub fn keep(&self, result: &TrialResult) -> io::Result<()> {
        let text = serde_json::to_string(result)?;
        let temporary = self
            .folder
            .join(format!(".{}-{}", self.name, std::process::id()));
        fs::write(&temporary, text)?;
        fs::rename(temporary, self.path())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const HOUR: u64 = 60 * 60;

    fn memory(folder: &Path) -> Memory {
        Memory::of(folder, &["image", "QEMU", "processor"])
    }

    #[rstest]
    #[case::at_once(0, true)]
    #[case::the_same_day(23 * HOUR, true)]
    #[case::a_day_later(24 * HOUR, false)]
    fn a_refusal_holds_for_a_day(#[case] later: u64, #[case] holds: bool) {
        let folder = tempfile::tempdir().unwrap();
        let memory = memory(folder.path());
        let refused = TrialResult::refused("no hello".to_owned(), memory.console());
        memory.keep(&refused).unwrap();
        let now = SystemTime::now() + Duration::from_secs(later);
        assert_eq!(memory.recall_at(now), holds.then_some(refused));
    }

    #[test]
    fn a_success_holds_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let memory = memory(folder.path());
        assert_eq!(memory.recall(), None);
        memory.keep(&TrialResult::Works).unwrap();
        let now = SystemTime::now() + Duration::from_secs(1000 * 24 * HOUR);
        assert_eq!(memory.recall_at(now), Some(TrialResult::Works));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_refusal_last() {
        let folder = tempfile::tempdir().unwrap();
        let memory = memory(folder.path());
        let refused = TrialResult::refused(String::new(), PathBuf::new());
        memory.keep(&refused).unwrap();
        assert_eq!(memory.recall_at(UNIX_EPOCH), None);
    }

    #[test]
    fn another_trial_is_not_this_one() {
        let folder = Path::new("/");
        let other = Memory::of(folder, &["imageQEMU", "processor"]);
        assert_ne!(memory(folder).path(), other.path());
    }

    proptest! {
        #[test]
        fn whatever_lies_in_the_file_is_no_reason_to_fail(text in ".*") {
            let folder = tempfile::tempdir().unwrap();
            let memory = memory(folder.path());
            fs::write(memory.path(), &text).unwrap();
            prop_assert_eq!(memory.recall(), None);
        }
    }
}
