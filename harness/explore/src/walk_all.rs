//! Walks every transition of some worlds, and reports and draws the results.

use model::Rule;
use runner::{exit::Exit, options::MachineOptions, run::Cancel};

use crate::{
    error::ExploreError,
    exhaustive::ExhaustiveWalks,
    picture::{Picture, PictureFile},
    report,
    traversal::Traversal,
};

/// Walks worlds on a kernel, prints the results, and draws them if a file is given.
pub fn walk_all(
    machine: &MachineOptions,
    traversals: Vec<Traversal>,
    rules: &[Rule],
    picture: Option<PictureFile>,
    cancel: &Cancel,
) -> Result<Exit, ExploreError> {
    let mut walks = ExhaustiveWalks::open(machine, traversals, cancel)?;
    let found = walks.all()?;
    let divergences = walks.reproduce(rules, &found)?;
    let lost = walks.minimize_lost(rules)?;
    let exit = report::report(&walks, &divergences, &lost)?;
    if let Some(file) = picture {
        file.write(&Picture::of_walks(&walks.traversals))?;
    }
    Ok(if cancel.is_cancelled() {
        Exit::Interrupted
    } else {
        exit
    })
}
