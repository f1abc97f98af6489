//! The order of events that race: which of the answers that the model allows a walk assumes.
//!
//! The kernel chooses the order while a case runs, and the case was written before. Where the
//! answers tell the state, the case goes on from the answers of one order, and is written again if
//! the kernel gave those of another.

use std::collections::BTreeMap;

use model::Told;

/// The assumed answers of each race of a walk.
#[derive(Debug, Clone, Default)]
pub struct Orders {
    /// By the position of the race among the moves. A race that is missing has the first.
    chosen: BTreeMap<usize, usize>,
    /// Nothing is assumed.
    open: bool,
}

impl Orders {
    /// Assumes nothing, so that every allowed answer is right.
    pub fn open() -> Self {
        Self {
            open: true,
            ..Self::default()
        }
    }

    /// Returns what is assumed of a race. `None` if every allowed answer is right.
    pub fn chosen<'a>(&self, position: usize, told: &'a [Told]) -> Option<&'a Told> {
        let number = self.chosen.get(&position).copied().unwrap_or_default();
        told.get(number).filter(|_| !self.open)
    }

    /// Assumes the answers with this number of a race.
    pub fn choose(&mut self, position: usize, number: usize) {
        self.chosen.insert(position, number);
        // What follows another state is another race.
        self.chosen.retain(|other, _| *other <= position);
    }
}
