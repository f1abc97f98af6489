//! `run-conformance` with lists: a run for each combination of platform, release and flavour, and
//! what they saw side by side.

use std::{collections::BTreeSet, fs, path::Path, thread};

use runner::{
    counters::KeepCounters,
    exit::Exit,
    matrix::{Cell, Matrix},
    options::MachineOptions,
    record::timestamp,
    root::runs,
    say,
    summary::Summary,
};
use vm_images::Silent;

use crate::{
    commands::run_conformance::{RunError, go},
    lists::Combination,
    run_options::RunOptions,
};

/// Makes the runs one after the other, each with a record of its own, while the kernels of the later
/// ones are built.
pub fn run_all(options: &RunOptions, combinations: &[Combination]) -> Result<Exit, RunError> {
    let usual = || runs().join(format!("{}-matrix", timestamp()));
    let folder = options.machine.record.clone().unwrap_or_else(usual);
    build_ahead(options, combinations);
    let mut cells = Vec::new();
    let mut worst = Exit::Ok;
    for (at, combination) in combinations.iter().enumerate() {
        say!(
            "\n{}, {} of {}",
            combination.name,
            at + 1,
            combinations.len()
        );
        let record = folder.join(combination.name.replace(", ", "-"));
        let exit = run_one(options, combination, &record)?;
        if matches!(exit, Exit::Usage | Exit::Nothing | Exit::Interrupted) {
            return Ok(exit);
        }
        worst = worse(worst, exit);
        cells.push(Cell {
            name: combination.name.clone(),
            summary: summary(&record),
            record: record.display().to_string(),
            exit: exit.number(),
        });
    }
    let matrix = Matrix::new(&cells);
    let text = serde_json::to_string_pretty(&matrix).map_err(std::io::Error::from)?;
    fs::write(folder.join("matrix.json"), text)?;
    say!("\n{matrix}\nrecord: {}", folder.display());
    Ok(worst)
}

/// Makes one run. A host that lacks what one platform needs can still run the others.
fn run_one(
    options: &RunOptions,
    combination: &Combination,
    record: &Path,
) -> Result<Exit, RunError> {
    let machine = MachineOptions {
        record: Some(record.to_owned()),
        ..combination.of(&options.machine)
    };
    let options = RunOptions {
        machine,
        ..options.clone()
    };
    match go(&options, KeepCounters::No) {
        Ok((exit, _)) => Ok(exit),
        Err(error) if error.exit() == Exit::Host => {
            eprintln!("error: {}: {error}", combination.name);
            Ok(Exit::Host)
        }
        Err(error) => Err(error),
    }
}

/// Builds each kernel but the first one, in their order. A run that comes to one waits for it, and
/// tells of an error.
fn build_ahead(options: &RunOptions, combinations: &[Combination]) {
    let mut seen = BTreeSet::new();
    let kernels = combinations.iter().filter(|it| {
        let kernel = (it.release.map(|it| it.to_string()), it.flavour.clone());
        seen.insert(kernel)
    });
    let later: Vec<_> = kernels.skip(1).map(|it| it.of(&options.machine)).collect();
    thread::spawn(move || {
        for machine in later {
            if let Ok(build) = machine.build() {
                let _ = vm_images::obtain(&machine.guest.source(), &build, &Silent);
            }
        }
    });
}

/// A failure of the kernel weighs more than one of the host, which says nothing of the kernel.
fn worse(one: Exit, other: Exit) -> Exit {
    let weight = |exit: Exit| match exit {
        Exit::Ok => 0,
        Exit::Host => 1,
        Exit::Failed => 2,
        _ => 3,
    };
    match weight(other) > weight(one) {
        true => other,
        false => one,
    }
}

fn summary(record: &Path) -> Option<Summary> {
    let text = fs::read_to_string(record.join("report.json")).ok()?;
    serde_json::from_str(&text).ok()
}
