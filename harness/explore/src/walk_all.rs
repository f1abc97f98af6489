//! Every transition of some worlds: walked, reported, drawn.

use model::Rule;
use runner::{exit::Exit, options::MachineOptions, run::Cancel};

use crate::{
    error::ExploreError,
    picture::{Picture, PictureFile},
    plan::Plan,
    report,
    walking::Walking,
};

/// Walks worlds on a kernel, prints what was found, and draws it if there is a file for that.
///
/// # Errors
/// When there is no lab, a walk has no result, or something cannot be written.
pub fn walk_all(
    machine: &MachineOptions,
    plans: Vec<Plan>,
    rules: &[Rule],
    picture: Option<PictureFile>,
    cancel: &Cancel,
) -> Result<Exit, ExploreError> {
    let mut walking = Walking::open(machine, plans, cancel)?;
    let found = walking.all()?;
    let divergences = walking.reproduce(rules, &found)?;
    let reduced = walking.reduce_lost(rules)?;
    let exit = report::report(&walking, &divergences, &reduced)?;
    if let Some(file) = picture {
        file.write(&Picture::of_walks(&walking.plans))?;
    }
    Ok(if cancel.is_cancelled() {
        Exit::Interrupted
    } else {
        exit
    })
}
