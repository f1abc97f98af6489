//! Whether the steps of a case access registers in ways that are the same everywhere.

use std::collections::BTreeSet;

use crate::{
    problem::Problem,
    steps::{
        Step,
        registers::{Registers, wrong_access},
    },
};

/// Checks that registers are accessed in ways that are the same everywhere.
pub fn check_accesses(steps: &[Step]) -> Result<(), Problem> {
    let mut mapped = BTreeSet::new();
    for step in steps.iter().flat_map(Step::all) {
        let problem = match step.registers() {
            Registers::Mapped(name) => {
                mapped.insert(name);
                None
            }
            Registers::Reached {
                name,
                offset,
                width,
            } if mapped.contains(name) => wrong_access(offset, width),
            Registers::Copied(name) if mapped.contains(name) => Some((
                "`peek` is for memory: it copies in pieces of any width",
                "use `load`",
            )),
            _ => None,
        };
        if let Some((text, help)) = problem {
            return Err(Problem::other(step.at, text).help(help));
        }
    }
    Ok(())
}
