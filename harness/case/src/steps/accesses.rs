//! Checks that register accesses of a case behave the same on every machine.

use std::collections::BTreeSet;

use crate::{
    problem::Problem,
    steps::{
        Step,
        registers::{Registers, wrong_access},
    },
};

/// Checks that register accesses behave the same on every machine.
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
                "`peek` copies in pieces of any width, so it is only for memory",
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
