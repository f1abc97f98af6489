//! Random walks: longer, through a larger world, and with events that race.

use std::{
    fmt,
    time::{Duration, Instant},
};

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use runner::{guest::BootError, record::Record, verdict::Verdict};

use crate::{
    course::{Course, Move, walks},
    script::{Script, course},
    shrink::shrink,
    sight::Sight,
};

/// So often a walk with a race in it is run before it counts as one that conforms, while a
/// divergence is made shorter: who wins is chance.
const TRIES: usize = 2;
/// A divergence is made shorter with so many runs at most.
const MOST_RUNS: u32 = 300;
/// And for so long: a walk that hangs takes a minute each time.
const LONGEST: Duration = Duration::from_secs(300);

/// Why a walk has no result.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// No guest.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// The walk is no case. The model's words and the case language have come apart.
    #[error("a walk is no case: {0}")]
    Case(String),
    /// The guest cannot run it.
    #[error("the platform does not offer what the world has: {0}")]
    Need(String),
    /// No verdict on the kernel.
    #[error("no verdict on a walk: {0}")]
    NoVerdict(String),
    /// It could not be written down.
    #[error("writing a walk down: {0}")]
    Io(#[from] std::io::Error),
    /// The strategy found no move.
    #[error("no walk could be drawn: {0}")]
    Draw(String),
    /// Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

/// Runs walks on a kernel.
pub trait Tester {
    /// Runs one and says how it was judged.
    ///
    /// # Errors
    /// When there is no verdict on the kernel.
    fn test(&mut self, script: &Script) -> Result<Record, WalkError>;
}

/// Draws walks from a seed.
#[derive(Debug, Clone)]
pub struct Walker {
    /// Where each begins.
    pub begin: Course,
    /// What the platform lets a walk see.
    pub sight: Sight,
    /// The same seed draws the same walks.
    pub seed: u64,
    /// Moves in each.
    pub length: usize,
}

/// How a walk ended.
#[derive(Debug, Clone)]
pub enum Ended {
    /// The kernel did all that the model says.
    Conforms(Vec<Move>),
    /// It did not.
    Diverges(Box<Divergence>),
}

/// A walk that the kernel does not take as the model says.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// How many moves were drawn.
    pub drawn: usize,
    /// The moves that are left of them.
    pub moves: Vec<Move>,
    /// As a case.
    pub script: Script,
    /// How that was judged.
    pub record: Record,
}

impl fmt::Display for Divergence {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left = self.moves.len();
        writeln!(
            to,
            "{}, {} moves of {}:",
            self.record.verdict, left, self.drawn
        )?;
        for one in &self.moves {
            writeln!(to, "    {one}")?;
        }
        write!(
            to,
            "  {}",
            self.record.reason.as_deref().unwrap_or_default()
        )
    }
}

impl Walker {
    /// Draws the walk of this number.
    ///
    /// # Errors
    /// When there is none.
    pub fn draw(&self, number: u64) -> Result<Vec<Move>, WalkError> {
        let strategy = walks(self.begin.clone(), self.length);
        let tree = strategy.new_tree(&mut self.runner(number));
        let tree = tree.map_err(|why| WalkError::Draw(why.to_string()))?;
        let (_, moves, _) = tree.current();
        Ok(moves)
    }

    /// Draws the walk of this number and runs it; one that diverges is made shorter.
    ///
    /// # Errors
    /// When there is no verdict on the kernel.
    pub fn walk(&self, number: u64, tester: &mut dyn Tester) -> Result<Ended, WalkError> {
        let moves = self.draw(number)?;
        let divergence = self.divergence(moves.clone(), tester)?;
        Ok(match divergence {
            None => Ended::Conforms(moves),
            Some(divergence) => Ended::Diverges(Box::new(divergence)),
        })
    }

    /// Runs these moves; where they diverge, what is left of them when they are made shorter.
    ///
    /// # Errors
    /// When there is no verdict on the kernel.
    pub fn divergence(
        &self,
        moves: Vec<Move>,
        tester: &mut dyn Tester,
    ) -> Result<Option<Divergence>, WalkError> {
        let mut trial = Trial::new(self, tester);
        let Some(at) = trial.run(&moves)? else {
            return Ok(None);
        };
        let drawn = moves.len();
        // What came after the divergence does no good.
        let seen = moves.into_iter().take(at + 1).collect();
        shrink(&self.begin, seen, |candidate| trial.fails(candidate))?;
        Ok(trial.failed.map(|(moves, script, record)| Divergence {
            drawn,
            moves,
            script,
            record,
        }))
    }

    /// One seed for all walks, and each walk by itself: it can be drawn alone.
    fn runner(&self, number: u64) -> TestRunner {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        TestRunner::new_with_rng(Config::default(), rng)
    }
}

/// Runs walks and remembers the last one that failed.
struct Trial<'a> {
    walker: &'a Walker,
    tester: &'a mut dyn Tester,
    runs: u32,
    since: Instant,
    failed: Option<(Vec<Move>, Script, Record)>,
}

impl<'a> Trial<'a> {
    fn new(walker: &'a Walker, tester: &'a mut dyn Tester) -> Self {
        Self {
            walker,
            tester,
            runs: 0,
            since: Instant::now(),
            failed: None,
        }
    }

    /// Whether a shorter walk diverges, too. Chance may hide what was seen before.
    fn fails(&mut self, moves: &[Move]) -> Result<bool, WalkError> {
        let races = moves.iter().any(|one| matches!(one, Move::Race(_)));
        for _ in 0..if races { TRIES } else { 1 } {
            if self.runs >= MOST_RUNS || self.since.elapsed() > LONGEST {
                break;
            }
            match self.run(moves) {
                Ok(None) => {}
                Ok(Some(_)) => return Ok(true),
                // What was found before counts, whatever became of this one.
                Err(WalkError::NoVerdict(_)) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    /// The position of the move that diverges.
    fn run(&mut self, moves: &[Move]) -> Result<Option<usize>, WalkError> {
        self.runs += 1;
        let script = course(&self.walker.begin, moves, &self.walker.sight);
        let record = self.tester.test(&script)?;
        let reason = || record.reason.clone().unwrap_or_default();
        match record.verdict {
            Verdict::Pass => return Ok(None),
            Verdict::Skip => return Err(WalkError::Need(reason())),
            Verdict::Error => return Err(WalkError::NoVerdict(reason())),
            _ => {}
        }
        let step = record.failed_step;
        let step = step.and_then(|step| *script.transition_of.get(step)?);
        let at = step.unwrap_or(moves.len().saturating_sub(1));
        self.failed = Some((moves.to_vec(), script, record));
        Ok(Some(at))
    }
}
