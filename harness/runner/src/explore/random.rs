//! Random walks: longer, through a larger world, and with events that race.

use std::{cell::RefCell, fmt};

use proptest::{
    strategy::Strategy,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};

use crate::{
    explore::{
        course::{Course, Move, walks},
        script::{Script, course},
        shrink::shrink,
        sight::Sight,
    },
    guest::BootError,
    record::Record,
    verdict::Verdict,
};

/// So often a walk with a race in it is run before it counts as one that conforms, while a
/// divergence is made shorter: who wins is chance.
const TRIES: usize = 3;
/// A divergence is made shorter for so long at most, by proptest and then by [`shrink`].
const SHRINK_RUNS: u32 = 400;

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
    /// Draws the walk of this number and runs it; one that diverges is made shorter.
    ///
    /// # Errors
    /// When there is no verdict on the kernel.
    pub fn walk(&self, number: u64, tester: &mut dyn Tester) -> Result<Ended, WalkError> {
        let mut runner = self.runner(number);
        let strategy = walks(self.begin.clone(), self.length);
        let tree = strategy
            .new_tree(&mut runner)
            .map_err(|why| WalkError::Draw(why.to_string()))?;
        let trial = RefCell::new(Trial::new(self, tester));
        let mut drawn = Vec::new();
        let first = RefCell::new(&mut drawn);
        let outcome = runner.run_one(tree, |(_, moves, seen)| {
            if first.borrow().is_empty() {
                first.borrow_mut().clone_from(&moves);
            }
            let mut trial = trial.borrow_mut();
            let failed_at = trial.fails_at(&moves);
            if let Some(seen) = seen {
                let executed = failed_at.map_or(moves.len(), |at| at + 1);
                seen.store(executed, std::sync::atomic::Ordering::SeqCst);
            }
            match failed_at {
                Some(_) => Err(TestCaseError::fail("diverges")),
                None => Ok(()),
            }
        });
        let mut trial = trial.into_inner();
        if let Some(error) = trial.error.take() {
            return Err(error);
        }
        match outcome {
            Ok(_) => Ok(Ended::Conforms(drawn)),
            Err(TestError::Abort(why)) => Err(WalkError::Draw(why.to_string())),
            Err(TestError::Fail(_, (_, moves, _))) => {
                let divergence = trial.shortest(drawn.len(), moves)?;
                Ok(Ended::Diverges(Box::new(divergence)))
            }
        }
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
        let diverges = trial.fails_at(&moves);
        if let Some(error) = trial.error.take() {
            return Err(error);
        }
        let Some(at) = diverges else {
            return Ok(None);
        };
        let drawn = moves.len();
        let seen = moves.into_iter().take(at + 1).collect();
        trial.shortest(drawn, seen).map(Some)
    }

    /// One seed for all walks, and each walk by itself: it can be drawn alone.
    fn runner(&self, number: u64) -> TestRunner {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let config = Config {
            max_shrink_iters: SHRINK_RUNS,
            failure_persistence: None,
            ..Config::default()
        };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        TestRunner::new_with_rng(config, rng)
    }
}

/// Runs walks and remembers the last one that failed.
struct Trial<'a> {
    walker: &'a Walker,
    tester: &'a mut dyn Tester,
    runs: u32,
    failed: Option<(Vec<Move>, Script, Record)>,
    error: Option<WalkError>,
}

impl<'a> Trial<'a> {
    fn new(walker: &'a Walker, tester: &'a mut dyn Tester) -> Self {
        Self {
            walker,
            tester,
            runs: 0,
            failed: None,
            error: None,
        }
    }

    /// The position of the move that diverges. After an error everything conforms, so that
    /// nobody searches any further.
    fn fails_at(&mut self, moves: &[Move]) -> Option<usize> {
        // The first run decides whether a walk conforms; while it is made shorter, chance may
        // hide what was seen before.
        let races = moves.iter().any(|one| matches!(one, Move::Race(_)));
        let tries = if races && self.failed.is_some() {
            TRIES
        } else {
            1
        };
        for _ in 0..tries {
            if self.error.is_some() {
                return None;
            }
            match self.run(moves) {
                Ok(None) => {}
                Ok(Some(at)) => return Some(at),
                Err(error) => self.error = Some(error),
            }
        }
        None
    }

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
        let step = record
            .failed_step
            .and_then(|step| *script.transition_of.get(step)?);
        let at = step.unwrap_or(moves.len().saturating_sub(1));
        self.failed = Some((moves.to_vec(), script, record));
        Ok(Some(at))
    }

    fn shortest(mut self, drawn: usize, moves: Vec<Move>) -> Result<Divergence, WalkError> {
        let begin = self.walker.begin.clone();
        let limit = self.runs + SHRINK_RUNS;
        shrink(&begin, moves, |candidate| {
            let fails = self.runs < limit && self.fails_at(candidate).is_some();
            self.error.take().map_or(Ok(fails), Err)
        })?;
        match self.failed {
            Some((moves, script, record)) => Ok(Divergence {
                drawn,
                moves,
                script,
                record,
            }),
            None => Err(WalkError::NoVerdict(
                "a divergence that nobody saw".to_owned(),
            )),
        }
    }
}
