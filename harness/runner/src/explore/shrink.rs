//! Makes a walk that diverges shorter than proptest can: it leaves out one move at a time, and
//! what is opened and closed again needs two.

use crate::explore::course::{Course, Move, is_walk};

/// The shortest walk found that still fails, at the end of a search in which each step leaves
/// something out: a move, two of them, or one half of a race.
///
/// # Errors
/// With the first error of `fails`.
pub fn shrink<E>(
    begin: &Course,
    mut moves: Vec<Move>,
    mut fails: impl FnMut(&[Move]) -> Result<bool, E>,
) -> Result<Vec<Move>, E> {
    loop {
        let mut shorter = None;
        for candidate in candidates(&moves).filter(|candidate| is_walk(begin, candidate)) {
            if fails(&candidate)? {
                shorter = Some(candidate);
                break;
            }
        }
        match shorter {
            Some(shorter) => moves = shorter,
            None => return Ok(moves),
        }
    }
}

/// Walks with less in them. The end goes first: what came after the divergence does no good.
fn candidates(moves: &[Move]) -> impl Iterator<Item = Vec<Move>> {
    let all = || (0..moves.len()).rev();
    let singles = all().map(|at| without(moves, &[at]));
    let pairs = all().flat_map(move |at| (0..at).rev().map(move |before| [before, at]));
    let pairs = pairs.map(|pair| without(moves, &pair));
    let halves = all().flat_map(|at| match moves[at] {
        Move::One(_) => Vec::new(),
        Move::Race(events) => events
            .into_iter()
            .map(|event| {
                let mut calmer = moves.to_vec();
                calmer[at] = Move::One(event);
                calmer
            })
            .collect(),
    });
    singles.chain(halves).chain(pairs)
}

fn without(moves: &[Move], left_out: &[usize]) -> Vec<Move> {
    let kept = moves.iter().enumerate();
    kept.filter(|(at, _)| !left_out.contains(at))
        .map(|(_, one)| *one)
        .collect()
}
