//! `cargo xtask explore --random`: walks that are drawn, guests that take them.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use case::{Case, Corpus, Sources};
use model::{Rule, World};
use runner::{
    exit::Exit,
    guest::Guest,
    lab::{Lab, load_corpus},
    options::MachineOptions,
    record::Record,
    run::Cancel,
    snapshot::Mode,
    verdict::Verdict,
};
use tempfile::TempDir;
use vm_images::Terminal;

use crate::{
    course::{Course, Move},
    error::ExploreError,
    keep::keep,
    progress::progress_bar,
    random::{Divergence, Ended, Tester, WalkError, Walker},
    script::Script,
    sight::Sight,
};

/// Processors of a guest: events that race need two.
const PROCESSORS: u32 = 2;

/// Random walks through a world.
#[derive(Debug, Clone)]
pub struct RandomWalks {
    /// The world.
    pub world: World,
    /// The rules that the kernel is held to.
    pub rules: Vec<Rule>,
    /// How many walks.
    pub walks: u64,
    /// Number of the first one.
    pub first: u64,
    /// The same seed draws the same walks.
    pub seed: u64,
    /// Moves in each walk.
    pub length: usize,
}

/// Takes walks in a guest of its own, which is replaced where a walk spoils it.
pub struct Hand<'a> {
    lab: &'a Lab,
    cancel: &'a Cancel,
    guest: Option<Guest>,
    folder: TempDir,
}

impl<'a> Hand<'a> {
    /// Without a guest before the first walk.
    ///
    /// # Errors
    /// When there is no place for the walks.
    pub fn new(lab: &'a Lab, cancel: &'a Cancel) -> io::Result<Self> {
        Ok(Self {
            lab,
            cancel,
            guest: None,
            folder: TempDir::with_prefix("walk-")?,
        })
    }

    fn guest(&mut self) -> Result<&mut Guest, WalkError> {
        if self.guest.is_none() {
            self.guest = Some(self.lab.boot()?.1);
        }
        // Just put there.
        self.guest.as_mut().ok_or(WalkError::Interrupted)
    }

    fn run(&mut self, case: &Case, sources: &Sources) -> Result<Record, WalkError> {
        let lab = self.lab;
        let ran = lab.run_from(case, sources, self.guest()?);
        if ran.guest_spoiled {
            self.guest = None;
        }
        if self.cancel.is_cancelled() {
            return Err(WalkError::Interrupted);
        }
        Ok(ran.record)
    }

    fn read(&self, script: &Script) -> Result<Corpus, WalkError> {
        fs::write(self.folder.path().join("walk.yaml"), &script.text)?;
        load_corpus(self.folder.path()).map_err(|error| WalkError::Case(error.to_string()))
    }
}

impl Tester for Hand<'_> {
    fn test(&mut self, script: &Script) -> Result<Record, WalkError> {
        let Corpus { cases, sources, .. } = self.read(script)?;
        let no_case = || WalkError::Case("it is empty".to_owned());
        let case = cases.first().ok_or_else(no_case)?;
        let record = self.run(case, &sources)?;
        // A QEMU that crashed says nothing of the kernel: once more, in another.
        if record.verdict == Verdict::Error {
            return self.run(case, &sources);
        }
        Ok(record)
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        if let Some(guest) = self.guest.take() {
            guest.end();
        }
    }
}

/// What came of all walks.
#[derive(Default)]
struct Tally {
    walks: u64,
    moves: usize,
    races: usize,
    divergences: BTreeMap<u64, Divergence>,
}

impl Tally {
    fn add(&mut self, number: u64, ended: Ended) {
        self.walks += 1;
        match ended {
            Ended::Conforms(moves) => {
                self.moves += moves.len();
                let races = moves.iter().filter(|it| matches!(it, Move::Race(_)));
                self.races += races.count();
            }
            Ended::Diverges(divergence) => {
                self.divergences.insert(number, *divergence);
            }
        }
    }
}

impl RandomWalks {
    /// Draws the walks, runs them on a kernel, and prints what was found.
    ///
    /// # Errors
    /// When there is no lab, a walk has no result, or something cannot be written.
    pub fn run(&self, machine: &MachineOptions, cancel: &Cancel) -> Result<Exit, ExploreError> {
        let machine = MachineOptions {
            processors: machine.processors.or(Some(PROCESSORS)),
            ..machine.clone()
        };
        let progress = Terminal::new();
        let lab = Lab::open(&machine, Corpus::default(), Mode::Ignore, &progress)?;
        drop(progress);
        let walker = Walker {
            begin: Course::begin(self.world.clone(), self.rules.clone()),
            sight: Sight::of(&self.world, &lab.platform),
            seed: self.seed,
            length: self.length,
        };
        announce(&lab, &walker, self.walks)?;
        let tally = self.draw_all(machine.jobs(), &lab, &walker, cancel)?;
        let exit = report(&lab, &walker, &tally)?;
        Ok(if cancel.is_cancelled() {
            Exit::Interrupted
        } else {
            exit
        })
    }

    fn draw_all(
        &self,
        jobs: usize,
        lab: &Lab,
        walker: &Walker,
        cancel: &Cancel,
    ) -> Result<Tally, ExploreError> {
        let next = AtomicU64::new(self.first);
        let end = self.first.saturating_add(self.walks);
        let tally = Mutex::new(Tally::default());
        let bar = progress_bar(self.walks);
        let work = || -> Result<(), ExploreError> {
            let mut hand = Hand::new(lab, cancel)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= end || cancel.is_cancelled() {
                    return Ok(());
                }
                let ended = match walker.walk(number, &mut hand) {
                    Ok(ended) => ended,
                    Err(WalkError::Interrupted) => return Ok(()),
                    Err(error) => {
                        next.store(end, Ordering::Relaxed); // the others begin nothing new
                        return Err(ExploreError::Walk(number, error));
                    }
                };
                if let Ended::Diverges(divergence) = &ended {
                    bar.println(format!("walk {number}: {}", divergence.record.verdict));
                }
                let mut tally = tally
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
                tally.add(number, ended);
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            let jobs = (jobs as u64).min(self.walks);
            let hands: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
            // A thread that panics has printed why.
            let ended = hands.into_iter().map(|hand| hand.join().unwrap_or(Ok(())));
            ended.collect::<Result<(), _>>()
        })?;
        bar.finish_and_clear();
        Ok(tally
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A seed for walks that are to be other ones each time.
#[must_use]
pub fn seed_of_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    // Short enough to be typed.
    now.map_or(1, |since| since.as_millis() as u64 % 1_000_000)
}

fn announce(lab: &Lab, walker: &Walker, walks: u64) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", lab.header())?;
    writeln!(
        out,
        "{walks} walks of {} moves through the world `{}`, seed {}",
        walker.length,
        walker.begin.world().name,
        walker.seed
    )?;
    for limit in walker.sight.limits() {
        writeln!(out, "{limit}")?;
    }
    Ok(())
}

fn report(lab: &Lab, walker: &Walker, tally: &Tally) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    for (number, divergence) in &tally.divergences {
        writeln!(out, "walk {number} diverges: {divergence}")?;
        let name = format!("walk-{}-{number}", walker.seed);
        writeln!(out, "{}", keep(lab, &name, &divergence.script)?)?;
        writeln!(
            out,
            "  again: cargo xtask explore --random 1 --seed {} --walk {number} --length {} --platform {}",
            walker.seed, walker.length, lab.platform.name
        )?;
    }
    writeln!(
        out,
        "walks: {} / {} as the model says, {} moves, {} of them races; seed {} ({})",
        tally.walks - tally.divergences.len() as u64,
        tally.walks,
        tally.moves,
        tally.races,
        walker.seed,
        lab.accel()
    )?;
    Ok(match tally.divergences.is_empty() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}
