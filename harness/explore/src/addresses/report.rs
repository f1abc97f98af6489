//! What the walks have shown.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use runner::{exit::Exit, lab::Lab, output::Output};

use super::{minimize::AddressDivergence, options::AddressWalks};
use crate::artifacts::Artifacts;

/// Divergences after which no further walk begins. They may well have one cause, and each takes
/// minutes to shorten.
const ENOUGH: usize = 4;

/// The results of all walks.
#[derive(Debug, Default)]
pub struct Totals {
    walks: u64,
    moves: u64,
    divergences: BTreeMap<u64, AddressDivergence>,
}

impl Totals {
    /// Adds a walk of so many moves.
    pub fn add(&mut self, number: u64, moves: usize, found: Option<AddressDivergence>) {
        self.walks += 1;
        match found {
            Some(divergence) => {
                self.divergences.insert(number, divergence);
            }
            None => self.moves += moves as u64,
        }
    }

    /// Whether further walks would say nothing new.
    pub fn is_enough(&self) -> bool {
        self.divergences.len() >= ENOUGH
    }

    /// Prints the divergences, and what was walked.
    pub fn report(&self, walks: &AddressWalks, lab: &Lab, took: Duration) -> io::Result<Exit> {
        let mut out = Output::stdout();
        let (seed, count) = (walks.seed, walks.count());
        for (number, divergence) in &self.divergences {
            writeln!(out, "walk {number} diverges: {divergence}")?;
            let name = format!("addresses-{seed}-{number}");
            writeln!(out, "{}", Artifacts::write(lab, &name, &divergence.script)?)?;
            writeln!(
                out,
                "  again: cargo xtask explore --addresses {} --seed {seed} --walk {number} --length {} --platform {}",
                walks.length, walks.length, lab.platform.name
            )?;
        }
        writeln!(
            out,
            "address walks: {} / {count} conform, {} moves, {} diverge; seed {seed}; {:.0} s ({})",
            self.walks - self.divergences.len() as u64,
            self.moves,
            self.divergences.len(),
            took.as_secs_f32(),
            lab.accel()
        )?;
        if self.walks < count {
            writeln!(out, "not run: {} of {count} walks", count - self.walks)?;
        }
        Ok(self.exit(count))
    }

    fn exit(&self, asked: u64) -> Exit {
        if !self.divergences.is_empty() {
            Exit::Failed
        } else if self.walks < asked || asked == 0 {
            Exit::Host // nothing is known of the walks that were not run
        } else {
            Exit::Ok
        }
    }
}
