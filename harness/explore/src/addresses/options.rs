//! Which walks to take.

use model::address::Flaw;

use super::{
    draw::{Drawn, drawn},
    script::script_of,
};
use crate::script::Script;

/// Random walks through the address spaces of an iommufd.
#[derive(Debug, Clone)]
pub struct AddressWalks {
    /// How many moves, together.
    pub moves: u64,
    /// Number of the first one.
    pub first: u64,
    /// The same seed gives the same walks.
    pub seed: u64,
    /// Moves in each walk.
    pub length: usize,
    /// A rule of the oracle to make wrong, for a test.
    pub flaw: Option<Flaw>,
}

impl AddressWalks {
    /// The number of walks.
    pub fn count(&self) -> u64 {
        self.moves.div_ceil((self.length as u64).max(1))
    }

    /// The walk of a number as a case.
    pub fn script(&self, number: u64) -> Script {
        let walk = self.draw(number);
        script_of(&walk.begin, &walk.moves)
    }

    /// Draws the walk of a number. With a flaw, the moves are those of the oracle without it.
    pub(super) fn draw(&self, number: u64) -> Drawn {
        let walk = drawn(self.seed, number, self.length);
        match self.flaw {
            Some(flaw) => Drawn {
                begin: walk.begin.with(flaw),
                moves: walk.moves,
            },
            None => walk,
        }
    }
}
