//! Runs a walk, and minimizes it if it diverges.

use std::{
    fmt,
    time::{Duration, Instant},
};

use runner::{record::Record, verdict::Verdict};

use crate::{
    observability::Observability,
    orders::Orders,
    random_walk::{Move, RandomWalk},
    script::Script,
    shrink::shrink,
    walk_runner::{Tester, WalkError},
};

/// Number of runs of a shorter walk with a race before it counts as one that conforms, because the
/// order of the events is random.
const TRIES: usize = 2;
/// Number of runs of a walk that assume an order of its races. Then every allowed order is right.
const ORDERS: usize = 6;
/// Maximum number of runs for one divergence.
const MOST_RUNS: u32 = 300;
/// Time limit for one divergence. A walk that hangs takes a minute each time.
const LONGEST: Duration = Duration::from_secs(300);

/// A walk that diverges from the model, or from the oracle of address spaces.
#[derive(Debug, Clone)]
pub struct Divergence<M = Move> {
    /// The number of moves before it was minimized.
    pub drawn: usize,
    /// The moves that are left.
    pub moves: Vec<M>,
    /// As a case.
    pub script: Script,
    /// The record of that case.
    pub record: Record,
}

impl<M: fmt::Display> fmt::Display for Divergence<M> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, drawn) = (self.moves.len(), self.drawn);
        writeln!(to, "{}, {left} moves of {drawn}:", self.record.verdict)?;
        for one in &self.moves {
            writeln!(to, "    {one}")?;
        }
        let reason = self.record.reason.as_deref().unwrap_or_default();
        write!(to, "  {reason}")
    }
}

/// Runs and minimizes the walks of a world.
#[derive(Debug, Clone)]
pub struct Minimizer {
    /// Where each walk begins.
    pub begin: RandomWalk,
    /// What a walk can observe on the platform.
    pub observability: Observability,
}

impl Minimizer {
    /// Runs a walk. If it diverges, returns the shortest walk found that also diverges.
    pub fn divergence(
        &self,
        moves: &[Move],
        tester: &mut dyn Tester,
    ) -> Result<Option<Divergence>, WalkError> {
        let mut attempts = Attempts {
            minimizer: self,
            tester,
            runs: 0,
            since: Instant::now(),
            failed: None,
        };
        let Some(at) = attempts.run(moves)? else {
            return Ok(None);
        };
        // The moves after the divergence do not matter.
        let seen = moves.iter().take(at + 1).copied().collect();
        shrink(&self.begin, seen, |shorter| attempts.fails(shorter))?;
        Ok(attempts
            .failed
            .map(|(moves_left, script, record)| Divergence {
                drawn: moves.len(),
                moves: moves_left,
                script,
                record,
            }))
    }
}

/// Runs of a walk that becomes shorter, and the last one that failed.
struct Attempts<'a> {
    minimizer: &'a Minimizer,
    tester: &'a mut dyn Tester,
    runs: u32,
    since: Instant,
    failed: Option<(Vec<Move>, Script, Record)>,
}

impl Attempts<'_> {
    /// Whether a shorter walk also diverges. A race may hide the divergence, so it is tried again.
    fn fails(&mut self, moves: &[Move]) -> Result<bool, WalkError> {
        let races = moves.iter().any(|one| matches!(one, Move::Race(_)));
        for _ in 0..if races { TRIES } else { 1 } {
            if self.runs >= MOST_RUNS || self.since.elapsed() > LONGEST {
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

    /// Runs a walk in the order that the kernel gives to its races. If a race ends in another
    /// allowed way than assumed, the walk is run again, and assumes that way.
    fn test(&mut self, moves: &[Move]) -> Result<(Script, Record), WalkError> {
        let Minimizer {
            begin,
            observability,
        } = self.minimizer;
        let mut orders = Orders::default();
        for _ in 0..ORDERS {
            self.runs += 1;
            let script = Script::of_moves(begin, moves, observability, &orders);
            let record = self.tester.test(&script)?;
            match other_order(&script, &record) {
                Some((position, told)) => orders.choose(position, told),
                None => return Ok((script, record)),
            }
        }
        self.runs += 1;
        let script = Script::of_moves(begin, moves, observability, &Orders::open());
        let record = self.tester.test(&script)?;
        Ok((script, record))
    }

    /// Runs a walk, and returns the position of the move that diverges.
    fn run(&mut self, moves: &[Move]) -> Result<Option<usize>, WalkError> {
        let (script, record) = self.test(moves)?;
        let Some(at) = diverges_at(moves.len(), &script, &record)? else {
            return Ok(None);
        };
        self.failed = Some((moves.to_vec(), script, record));
        Ok(Some(at))
    }
}

/// Returns the position of the move at which a walk of so many moves diverged, if it did.
pub fn diverges_at(
    moves: usize,
    script: &Script,
    record: &Record,
) -> Result<Option<usize>, WalkError> {
    let reason = || record.reason.clone().unwrap_or_default();
    match record.verdict {
        Verdict::Pass => return Ok(None),
        Verdict::Skip if record.waits_for.is_some() => return Err(WalkError::Missing(reason())),
        Verdict::Skip => return Err(WalkError::Need(reason())),
        Verdict::Error => return Err(WalkError::NoVerdict(reason())),
        _ => {}
    }
    let step = record.failed_step;
    let step = step.and_then(|step| *script.transition_of.get(step)?);
    Ok(Some(step.unwrap_or(moves.saturating_sub(1))))
}

/// Returns the position of the race at which a walk failed only because it assumed another order,
/// and what its ends tell.
fn other_order(script: &Script, record: &Record) -> Option<(usize, usize)> {
    let failed = record
        .failed_step
        .filter(|_| record.verdict == Verdict::Fail)?;
    let race = script.assumed.iter().find(|race| race.step == failed)?;
    let told = race.told_by(record.reason.as_deref()?)?;
    Some((race.position, told))
}
