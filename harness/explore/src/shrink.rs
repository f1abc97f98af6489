//! Shortens a walk that diverges.
//!
//! proptest removes one move at a time, and gives up if a later move can then not be made. Here,
//! moves are removed together with those that depend on them, so that one attempt can remove an
//! irrelevant device with all its moves.

use crate::random_walk::{Move, RandomWalk};

/// Returns the shortest walk found that still fails. Removes parts of the walk, large ones first,
/// then one of two events that race, or the race itself.
pub fn shrink<E>(
    begin: &RandomWalk,
    mut moves: Vec<Move>,
    mut fails: impl FnMut(&[Move]) -> Result<bool, E>,
) -> Result<Vec<Move>, E> {
    let mut size = moves.len() / 2;
    loop {
        let shorter = first_that_fails(shorter_by(begin, &moves, size), &mut fails)?;
        let shorter = match shorter {
            None if size <= 1 => first_that_fails(without_race(begin, &moves), &mut fails)?,
            shorter => shorter,
        };
        match shorter {
            Some(shorter) => moves = shorter,
            None if size <= 1 => return Ok(moves),
            None => size /= 2,
        }
    }
}

fn first_that_fails<E>(
    candidates: impl Iterator<Item = Vec<Move>>,
    fails: &mut impl FnMut(&[Move]) -> Result<bool, E>,
) -> Result<Option<Vec<Move>>, E> {
    for candidate in candidates.filter(|candidate| !candidate.is_empty()) {
        if fails(&candidate)? {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// Walks without `size` moves in a row, and without the moves that depend on them.
fn shorter_by(
    begin: &RandomWalk,
    moves: &[Move],
    size: usize,
) -> impl Iterator<Item = Vec<Move>> + use<> {
    let (begin, moves) = (begin.clone(), moves.to_vec());
    let size = size.max(1);
    let parts = (0..moves.len()).step_by(size).rev();
    parts.map(move |from| {
        let left_out = from..from + size;
        let kept = moves.iter().enumerate();
        let kept = kept.filter(|(at, _)| !left_out.contains(at));
        playable(&begin, kept.map(|(_, one)| *one))
    })
}

/// Returns walks without one of two events that race, or with both in sequence.
fn without_race(begin: &RandomWalk, moves: &[Move]) -> impl Iterator<Item = Vec<Move>> + use<> {
    let (begin, moves) = (begin.clone(), moves.to_vec());
    let races = moves.iter().enumerate().filter_map(|(at, one)| match one {
        Move::One(_) => None,
        Move::Race(events) => Some((at, *events)),
    });
    let races: Vec<_> = races.collect();
    races.into_iter().rev().flat_map(move |(at, [one, other])| {
        let instead = [vec![one], vec![other], vec![one, other], vec![other, one]];
        let (begin, moves) = (begin.clone(), moves.clone());
        instead.map(move |instead| {
            let before = moves[..at].iter().copied();
            let after = moves[at + 1..].iter().copied();
            let instead = instead.into_iter().map(Move::One);
            playable(&begin, before.chain(instead).chain(after))
        })
    })
}

/// The moves that can be made, one after the other.
fn playable(begin: &RandomWalk, moves: impl Iterator<Item = Move>) -> Vec<Move> {
    let mut walk = begin.clone();
    let mut played = Vec::new();
    for one in moves {
        if let Some((_, next)) = walk.play(one) {
            walk = next;
            played.push(one);
        }
    }
    played
}
