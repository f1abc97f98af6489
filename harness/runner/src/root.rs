//! Paths of the project's files.

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A file by which the root of the project is recognized.
const MARK: &str = "cases/clauses.yaml";

/// Returns the root of the project: a folder above the running program, the folder where it was
/// built, or a folder above the current one. So a built tree can be moved to another path or
/// machine.
pub fn root() -> PathBuf {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let built = built_in();
        let program = std::env::current_exe().unwrap_or_default();
        let current = std::env::current_dir().unwrap_or_default();
        find([&program, &built, &current]).unwrap_or(built)
    })
    .clone()
}

/// The folder of platforms, flavours and mutants.
pub fn vm_images_folder() -> PathBuf {
    root().join("vm-images")
}

/// The folder of the known deviations.
pub fn findings() -> PathBuf {
    root().join("results").join("findings")
}

/// The folder of the records of runs.
pub fn runs() -> PathBuf {
    root().join("results").join("runs")
}

/// The folder of the stored transcripts.
pub fn snapshots() -> PathBuf {
    root().join("results").join("snapshots")
}

/// The list of orders of races that no run shows.
pub fn races() -> PathBuf {
    root().join("results").join("races.yaml")
}

fn built_in() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

fn find<'a>(places: impl IntoIterator<Item = &'a PathBuf>) -> Option<PathBuf> {
    let mut above = places.into_iter().flat_map(|place| place.ancestors());
    above.find(|it| it.join(MARK).exists()).map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::fs;

    use super::*;

    #[test]
    fn a_tree_that_was_moved_is_found_above_the_program() {
        let place = tempfile::tempdir().unwrap();
        fs::create_dir(place.path().join("cases")).unwrap();
        fs::write(place.path().join(MARK), "").unwrap();
        let program = place.path().join("target/release/xtask");
        let gone = PathBuf::from("/nonexistent/project");
        assert_eq!(find([&program, &gone]), Some(place.path().to_owned()));
        assert_eq!(find([&gone]), None);
    }

    #[test]
    fn a_test_runs_in_the_tree_that_was_built() {
        assert_eq!(root(), built_in());
    }
}
