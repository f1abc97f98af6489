//! Random walks: longer, through a larger world, and with events that race.

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use case::Corpus;
use model::{Rule, World};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use runner::{
    exit::Exit, lab::Lab, options::MachineOptions, output::Output, run::Cancel, snapshot::Mode,
};
use vm_images::Terminal;

use crate::{
    artifacts::Artifacts,
    error::ExploreError,
    minimize::{Divergence, Minimizer},
    observability::Observability,
    progress::progress_bar,
    random_walk::{Move, RandomWalk, walks},
    walk_runner::{Tester, WalkError, WalkRunner},
};

/// Processors of a guest. Events that race need two.
const PROCESSORS: u32 = 2;

/// Random walks through a world.
#[derive(Debug, Clone)]
pub struct RandomWalks {
    /// The world.
    pub world: World,
    /// The rules that the kernel has to follow.
    pub rules: Vec<Rule>,
    /// How many walks.
    pub walks: u64,
    /// Number of the first one.
    pub first: u64,
    /// The same seed gives the same walks.
    pub seed: u64,
    /// Moves in each walk.
    pub length: usize,
}

/// How a walk ended.
#[derive(Debug, Clone)]
pub enum WalkOutcome {
    /// The kernel did what the model demands.
    Conforms(Vec<Move>),
    /// The kernel did something else.
    Diverges(Box<Divergence>),
}

impl RandomWalks {
    /// Draws the walks, runs them on a kernel, and prints what was found.
    pub fn run(&self, machine: &MachineOptions, cancel: &Cancel) -> Result<Exit, ExploreError> {
        let machine = MachineOptions {
            processors: machine.processors.or(Some(PROCESSORS)),
            ..machine.clone()
        };
        let progress = Terminal::new();
        let lab = Lab::open(&machine, Corpus::default(), Mode::Ignore, &progress)?;
        drop(progress);
        cancel.watch();
        let minimizer = Minimizer {
            begin: self.begin(),
            observability: Observability::of(&self.world, &lab.platform),
        };
        self.announce(&lab, &minimizer.observability)?;
        let workers = Workers {
            walks: self,
            lab: &lab,
            minimizer: &minimizer,
            cancel,
            next: AtomicU64::new(self.first),
            totals: Mutex::default(),
        };
        let (totals, failed) = workers.work(machine.jobs());
        let exit = self.report(&lab, &totals)?;
        match failed {
            _ if cancel.is_cancelled() => Ok(Exit::Interrupted),
            // A divergence that was found counts, whatever happened to the other walks.
            Some(error) if exit == Exit::Failed => {
                eprintln!("error: {error}");
                Ok(exit)
            }
            Some(error) => Err(error),
            None => Ok(exit),
        }
    }

    /// Returns the start of each walk.
    pub fn begin(&self) -> RandomWalk {
        RandomWalk::begin(self.world.clone(), self.rules.clone())
    }

    /// Draws the walk of this number.
    pub fn draw(&self, number: u64) -> Result<Vec<Move>, WalkError> {
        let strategy = walks(self.begin(), self.length);
        let tree = strategy.new_tree(&mut self.random_source(number));
        let tree = tree.map_err(|why| WalkError::Draw(why.to_string()))?;
        let (_, moves, _) = tree.current();
        Ok(moves)
    }

    /// Draws the walk of this number and runs it. A walk that diverges is minimized.
    pub fn walk(
        &self,
        number: u64,
        minimizer: &Minimizer,
        tester: &mut dyn Tester,
    ) -> Result<WalkOutcome, WalkError> {
        let moves = self.draw(number)?;
        Ok(match minimizer.divergence(&moves, tester)? {
            None => WalkOutcome::Conforms(moves),
            Some(divergence) => WalkOutcome::Diverges(Box::new(divergence)),
        })
    }

    /// Returns the source of random numbers for a walk. It depends on the seed and the number only,
    /// so that each walk can be drawn alone.
    fn random_source(&self, number: u64) -> TestRunner {
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        TestRunner::new_with_rng(Config::default(), rng)
    }

    fn announce(&self, lab: &Lab, observability: &Observability) -> io::Result<()> {
        let mut out = Output::stdout();
        writeln!(out, "{}", lab.header())?;
        writeln!(
            out,
            "{} walks of {} moves through the world `{}`, seed {}",
            self.walks, self.length, self.world.name, self.seed
        )?;
        for limit in observability.limits() {
            writeln!(out, "{limit}")?;
        }
        Ok(())
    }

    fn report(&self, lab: &Lab, totals: &Totals) -> Result<Exit, ExploreError> {
        let mut out = Output::stdout();
        let seed = self.seed;
        for (number, divergence) in &totals.divergences {
            writeln!(out, "walk {number} diverges: {divergence}")?;
            let name = format!("walk-{seed}-{number}");
            writeln!(out, "{}", Artifacts::write(lab, &name, &divergence.script)?)?;
            writeln!(
                out,
                "  again: cargo xtask explore '{}' --random 1 --seed {seed} --walk {number} --length {} --platform {}",
                self.world.name, self.length, lab.platform.name
            )?;
        }
        writeln!(
            out,
            "walks: {} / {} conform, {} moves, {} of them races; seed {seed} ({})",
            totals.walks - totals.divergences.len() as u64,
            self.walks,
            totals.moves,
            totals.races,
            lab.accel()
        )?;
        if totals.walks < self.walks {
            let left = self.walks - totals.walks;
            writeln!(out, "not run: {left} of {} walks", self.walks)?;
        }
        Ok(totals.exit(self.walks))
    }
}

/// The results of all walks.
#[derive(Default)]
struct Totals {
    walks: u64,
    moves: usize,
    races: usize,
    divergences: BTreeMap<u64, Divergence>,
}

impl Totals {
    /// Returns the exit code of a run of this many walks.
    fn exit(&self, asked: u64) -> Exit {
        if !self.divergences.is_empty() {
            Exit::Failed
        } else if self.walks < asked || asked == 0 {
            Exit::Host // nothing is known of the walks that were not run
        } else {
            Exit::Ok
        }
    }

    fn add(&mut self, number: u64, outcome: WalkOutcome) {
        self.walks += 1;
        match outcome {
            WalkOutcome::Conforms(moves) => {
                self.moves += moves.len();
                let races = moves.iter().filter(|it| matches!(it, Move::Race(_)));
                self.races += races.count();
            }
            WalkOutcome::Diverges(divergence) => {
                self.divergences.insert(number, *divergence);
            }
        }
    }
}

/// Threads that run the walks, each in its own guest.
struct Workers<'a> {
    walks: &'a RandomWalks,
    lab: &'a Lab,
    minimizer: &'a Minimizer,
    cancel: &'a Cancel,
    next: AtomicU64,
    totals: Mutex<Totals>,
}

impl Workers<'_> {
    /// Runs all walks, and returns the results and the first failure of a worker.
    fn work(self, jobs: usize) -> (Totals, Option<ExploreError>) {
        let bar = progress_bar(self.walks.walks);
        let failed = std::thread::scope(|scope| {
            let jobs = (jobs as u64).min(self.walks.walks);
            let work = || {
                self.run_walks(|number, outcome| {
                    if let WalkOutcome::Diverges(divergence) = outcome {
                        bar.println(format!("walk {number}: {}", divergence.record.verdict));
                    }
                    bar.inc(1);
                })
            };
            let threads: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            // All are joined: the scope panics if a thread is not that has panicked.
            let ended: Vec<_> = threads.into_iter().map(|it| it.join()).collect();
            first_failure(ended)
        });
        bar.finish_and_clear();
        let totals = self.totals.into_inner();
        (totals.unwrap_or_else(PoisonError::into_inner), failed)
    }

    /// Runs walks until none is left, and reports the outcome of each.
    fn run_walks(&self, tell: impl Fn(u64, &WalkOutcome)) -> Result<(), ExploreError> {
        let end = self.walks.first.saturating_add(self.walks.walks);
        let mut runner = WalkRunner::new(self.lab, self.cancel)?;
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= end || self.cancel.is_cancelled() {
                return Ok(());
            }
            let outcome = match self.walks.walk(number, self.minimizer, &mut runner) {
                Ok(outcome) => outcome,
                Err(WalkError::Interrupted) => return Ok(()),
                Err(error) => {
                    self.next.store(end, Ordering::Relaxed); // the others begin nothing new
                    return Err(ExploreError::Walk(number, error));
                }
            };
            tell(number, &outcome);
            let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
            totals.add(number, outcome);
        }
    }
}

/// Returns why a worker ended before its walks were run.
fn first_failure(
    ended: Vec<std::thread::Result<Result<(), ExploreError>>>,
) -> Option<ExploreError> {
    let mut failed = ended.into_iter().filter_map(|ended| match ended {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error),
        Err(_) => Some(ExploreError::Panicked),
    });
    failed.next()
}

/// Returns a new seed each time.
pub fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // Short enough to be typed.
    now.map_or(1, |since| since.as_millis() as u64 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all(3, 3, Exit::Ok)]
    #[case::one_is_missing(2, 3, Exit::Host)]
    #[case::nothing_was_asked_for(0, 0, Exit::Host)]
    fn walks_that_were_not_run_do_not_conform(
        #[case] walks: u64,
        #[case] asked: u64,
        #[case] exit: Exit,
    ) {
        let totals = Totals {
            walks,
            ..Totals::default()
        };
        assert_eq!(totals.exit(asked), exit);
    }

    #[test]
    fn a_worker_that_panics_is_not_done() {
        let panicked = std::thread::spawn(|| panic!("of the test")).join();
        let ended = vec![Ok(Ok(())), panicked.map(|()| Ok(())), Ok(Ok(()))];
        let failed = first_failure(ended);
        assert!(matches!(failed, Some(ExploreError::Panicked)));
        assert_eq!(failed.map(|error| error.exit()), Some(Exit::Host));
        assert!(first_failure(vec![Ok(Ok(()))]).is_none());
    }
}
