//! Runs a walk through address spaces, and shortens it if it diverges.

use std::time::{Duration, Instant};

use model::address::{Move, Space};
use runner::record::Record;

use super::{draw::Drawn, script::script_of};
use crate::{
    minimize::{Divergence, diverges_at},
    script::Script,
    walk_runner::{Tester, WalkError},
};

/// Time limit for one divergence. A walk that hangs takes a minute each time.
const LONGEST: Duration = Duration::from_secs(240);
/// Runs of a shorter walk with a race before it counts as one that conforms.
const TRIES: usize = 3;

/// A walk that diverges from the oracle.
pub type AddressDivergence = Divergence<Move>;

/// Runs a walk. If it diverges, returns the shortest walk found that also diverges.
pub fn divergence(
    walk: &Drawn,
    tester: &mut dyn Tester,
) -> Result<Option<AddressDivergence>, WalkError> {
    let mut attempts = Attempts {
        begin: &walk.begin,
        tester,
        since: Instant::now(),
        failed: None,
    };
    let Some(at) = attempts.run(&walk.moves)? else {
        return Ok(None);
    };
    let mut moves: Vec<_> = walk.moves.iter().take(at + 1).cloned().collect();
    let mut size = moves.len().div_ceil(2);
    while size > 0 {
        moves = match attempts.without_a_part(&moves, size)? {
            Some(shorter) => shorter,
            None if size == 1 => break,
            None => {
                size = size.div_ceil(2);
                continue;
            }
        };
    }
    Ok(attempts.failed.map(|(moves, script, record)| Divergence {
        drawn: walk.moves.len(),
        moves,
        script,
        record,
    }))
}

struct Attempts<'a> {
    begin: &'a Space,
    tester: &'a mut dyn Tester,
    since: Instant,
    failed: Option<(Vec<Move>, Script, Record)>,
}

impl Attempts<'_> {
    /// A walk without this many moves in a row that still fails. Moves that depend on them are
    /// left out too. The last move is the one that shows the divergence, and stays.
    fn without_a_part(
        &mut self,
        moves: &[Move],
        size: usize,
    ) -> Result<Option<Vec<Move>>, WalkError> {
        for from in (0..moves.len()).step_by(size).rev() {
            let left_out = from..from + size;
            let kept = moves.iter().enumerate();
            let kept = kept.filter(|(at, _)| !left_out.contains(at));
            let shorter = playable(self.begin, kept.map(|(_, one)| one));
            if !shorter.is_empty() && self.fails(&shorter)? {
                return Ok(Some(shorter));
            }
        }
        Ok(None)
    }

    /// Whether a shorter walk also diverges. A race may hide it, so that it is tried again.
    fn fails(&mut self, moves: &[Move]) -> Result<bool, WalkError> {
        let tries = if moves.iter().any(Move::races) {
            TRIES
        } else {
            1
        };
        for _ in 0..tries {
            if self.since.elapsed() > LONGEST {
                break;
            }
            match self.run(moves) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                // The divergence found before still counts.
                Err(WalkError::NoVerdict(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// Runs a walk, and returns the position of the move that diverges.
    fn run(&mut self, moves: &[Move]) -> Result<Option<usize>, WalkError> {
        let script = script_of(self.begin, moves);
        let record = self.tester.test(&script)?;
        let Some(at) = diverges_at(moves.len(), &script, &record)? else {
            return Ok(None);
        };
        self.failed = Some((moves.to_vec(), script, record));
        Ok(Some(at))
    }
}

/// The moves that can be made, one after the other.
fn playable<'a>(begin: &Space, moves: impl Iterator<Item = &'a Move>) -> Vec<Move> {
    let mut space = begin.clone();
    let mut played = Vec::new();
    for one in moves {
        if let Some((_, next)) = space.play(one) {
            space = next;
            played.push(one.clone());
        }
    }
    played
}
