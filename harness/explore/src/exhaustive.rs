//! Walks every transition of some worlds on a kernel. Adds walks around transitions that diverge,
//! until no further divergence is found.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use case::Case;
use indicatif::ProgressBar;
use model::{Rule, shortest};
use runner::{
    event::{Event, Sink},
    lab::{Lab, LabError, load_corpus},
    options::{MachineOptions, vm_images_folder},
    platform::Platform,
    record::Record,
    run::{Cancel, run},
    say,
    snapshot::Mode,
    verdict::Verdict,
};
use tempfile::TempDir;
use vm_images::Terminal;

use crate::{
    error::ExploreError,
    minimize::{Divergence, Minimizer},
    observability::Observability,
    progress::progress_bar,
    random_walk::{Move, RandomWalk},
    traversal::{Traversal, WALK, WalkCase, take_records, walk_cases, write},
    walk_runner::{WalkError, WalkRunner},
};

/// Maximum number of rounds. If nearly everything diverges, the list may be incomplete.
const MOST_ROUNDS: usize = 16;

/// Worlds, and a lab to walk them in.
pub struct ExhaustiveWalks<'a> {
    /// The worlds.
    pub traversals: Vec<Traversal>,
    /// All walks that were run.
    pub walked: Vec<WalkCase>,
    /// The lab.
    pub lab: Lab,
    /// Failures of the machine, which no walk is to blame for.
    pub machine: Vec<Record>,
    cancel: &'a Cancel,
    jobs: usize,
    folder: TempDir,
}

/// A rule that the kernel breaks in a world, and where that was seen first.
#[derive(Debug, Clone, Copy)]
pub struct BrokenRule {
    /// Position of the world.
    pub traversal: usize,
    /// Position of the transition in its graph.
    pub edge: usize,
    /// Position among the walks that were run.
    pub walked: usize,
}

impl<'a> ExhaustiveWalks<'a> {
    /// Writes the first walks, and opens a lab for them.
    pub fn open(
        options: &MachineOptions,
        traversals: Vec<Traversal>,
        cancel: &'a Cancel,
    ) -> Result<Self, ExploreError> {
        let images = vm_images_folder();
        let platform = Platform::load(&images, &options.platform).map_err(LabError::from)?;
        let folder = TempDir::with_prefix("walks-")?;
        let from = vec![0; traversals.len()];
        let walked = walk_cases(&traversals, &from, &platform);
        let first = folder.path().join("0");
        write(&walked, &first)?;
        let corpus = load_corpus(&first).map_err(LabError::from)?;
        let progress = Terminal::new();
        let lab = Lab::open(options, corpus, Mode::Ignore, &progress)?;
        drop(progress);
        say!("{}", lab.header());
        Ok(Self {
            traversals,
            walked,
            lab,
            machine: Vec::new(),
            cancel,
            jobs: options.jobs(),
            folder,
        })
    }

    /// Runs all walks, and further ones around each divergence. Returns the broken rules in the
    /// order in which they were found.
    pub fn all(&mut self) -> Result<Vec<BrokenRule>, ExploreError> {
        let mut found = Vec::new();
        let mut from = 0;
        for round in 1..=MOST_ROUNDS {
            self.run(from)?;
            let new = self.learn(from);
            let before = found.len();
            found.extend(new);
            // A lost walk does not name a transition, and would be lost again.
            if found.len() == before || self.cancel.is_cancelled() {
                break;
            }
            from = self.walked.len();
            if !self.go_on(round)? {
                break;
            }
        }
        Ok(found)
    }

    /// Runs the walks from a position on. A walk without a verdict is run once more: a crash of
    /// QEMU is not the kernel's fault.
    fn run(&mut self, from: usize) -> Result<(), ExploreError> {
        self.run_those(from, |_| true)?;
        let again: BTreeSet<_> = self.walked[from..]
            .iter()
            .filter(|one| one.has_no_verdict())
            .map(WalkCase::id)
            .collect();
        if again.is_empty() || self.cancel.is_cancelled() {
            return Ok(());
        }
        self.run_those(from, |walk| again.contains(walk))
    }

    fn run_those(
        &mut self,
        from: usize,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(), ExploreError> {
        let all = self.lab.corpus.cases.iter();
        // If a case has a shape, its id ends with it.
        let of_walk = |case: &&Case| case.id.split('/').next().is_some_and(&wanted);
        let cases: Vec<_> = all.filter(of_walk).collect();
        let mut sinks: Vec<Box<dyn Sink>> =
            vec![Box::new(WalkProgress(progress_bar(cases.len() as u64)))];
        let summary = run(&self.lab, &cases, self.jobs, &mut sinks, self.cancel)?;
        take_records(&mut self.walked[from..], &summary.cases);
        let of_machine = summary
            .cases
            .into_iter()
            .filter(|record| !record.verdict.is_expected() && !record.id.starts_with(WALK));
        self.machine.extend(of_machine);
        Ok(())
    }

    fn learn(&mut self, from: usize) -> Vec<BrokenRule> {
        let walked = self.walked.iter().enumerate().skip(from);
        walked
            .filter_map(|(number, one)| {
                let edge = self.traversals[one.traversal].learn(one)?;
                Some(BrokenRule {
                    traversal: one.traversal,
                    edge,
                    walked: number,
                })
            })
            .collect()
    }

    /// Writes the walks of the next round, and returns whether there are any.
    fn go_on(&mut self, round: usize) -> io::Result<bool> {
        let from: Vec<_> = self
            .traversals
            .iter()
            .map(|traversal| traversal.walks.len())
            .collect();
        let more: usize = self
            .traversals
            .iter_mut()
            .map(|traversal| traversal.go_on(round))
            .sum();
        if more == 0 {
            return Ok(false);
        }
        let walked = walk_cases(&self.traversals, &from, &self.lab.platform);
        let folder = self.folder.path().join(round.to_string());
        write(&walked, &folder)?;
        self.lab.corpus = load_corpus(&folder).map_err(io::Error::other)?;
        self.walked.extend(walked);
        Ok(true)
    }

    /// Returns the first walk of each world that was lost as a whole, for example to a panic, and
    /// the minimized walk, which is `None` if it is not lost again.
    pub fn minimize_lost(
        &self,
        rules: &[Rule],
    ) -> Result<Vec<(usize, Option<Divergence>)>, ExploreError> {
        let mut runner = WalkRunner::new(&self.lab, self.cancel)?;
        let mut minimized = Vec::new();
        for traversal in 0..self.traversals.len() {
            let mut walked = self.walked.iter();
            let first = walked.position(|one| one.traversal == traversal && one.is_lost());
            let Some(first) = first.filter(|_| !self.cancel.is_cancelled()) else {
                continue;
            };
            let one = &self.walked[first];
            let moves = self.moves(traversal, &self.traversals[traversal].walks[one.walk]);
            let minimizer = self.minimizer(traversal, rules);
            match minimizer.divergence(&moves, &mut runner) {
                Ok(shorter) => minimized.push((first, shorter)),
                Err(WalkError::Interrupted) => break,
                Err(WalkError::NoVerdict(_)) => minimized.push((first, None)),
                Err(error) => return Err(ExploreError::Walk(first as u64, error)),
            }
        }
        Ok(minimized)
    }

    /// The shortest walk that was found for each rule that is broken in a world.
    pub fn reproduce(
        &self,
        rules: &[Rule],
        found: &[BrokenRule],
    ) -> Result<Vec<(BrokenRule, Option<Divergence>)>, ExploreError> {
        let mut first = BTreeMap::new();
        for broken in found.iter().rev() {
            let rule = self.traversals[broken.traversal].graph.edges[broken.edge]
                .rule
                .name;
            first.insert((broken.traversal, rule), *broken);
        }
        if first.is_empty() || self.cancel.is_cancelled() {
            return Ok(Vec::new());
        }
        let mut runner = WalkRunner::new(&self.lab, self.cancel)?;
        let mut shortened = Vec::new();
        for broken in first.into_values() {
            let shorter = match self.shorten(rules, broken, &mut runner) {
                // Only the walk as found can be shown.
                Err(ExploreError::Walk(_, WalkError::NoVerdict(_))) => None,
                shorter => shorter?,
            };
            shortened.push((broken, shorter));
        }
        Ok(shortened)
    }

    fn shorten(
        &self,
        rules: &[Rule],
        broken: BrokenRule,
        runner: &mut WalkRunner<'_>,
    ) -> Result<Option<Divergence>, ExploreError> {
        let traversal = &self.traversals[broken.traversal];
        let minimizer = self.minimizer(broken.traversal, rules);
        let failed = |error| ExploreError::Walk(broken.walked as u64, error);
        let short = self.moves(broken.traversal, &shortest(&traversal.graph, broken.edge));
        let short = minimizer.divergence(&short, runner);
        if let Some(divergence) = short.map_err(failed)? {
            return Ok(Some(divergence));
        }
        let one = &self.walked[broken.walked];
        let whole = &traversal.walks[one.walk][..=one.diverges_at().unwrap_or_default()];
        let whole = self.moves(broken.traversal, whole);
        minimizer.divergence(&whole, runner).map_err(failed)
    }

    /// Runs single walks through a world.
    fn minimizer(&self, traversal: usize, rules: &[Rule]) -> Minimizer {
        let world = &self.traversals[traversal].world;
        Minimizer {
            begin: RandomWalk::begin(world.clone(), rules.to_vec()),
            observability: Observability::of(world, &self.lab.platform),
        }
    }

    /// The walks of a world that were run.
    pub fn of_world(&self, traversal: usize) -> impl Iterator<Item = &WalkCase> {
        let walked = self.walked.iter();
        walked.filter(move |one| one.traversal == traversal)
    }

    fn moves(&self, traversal: usize, edges: &[usize]) -> Vec<Move> {
        let all = &self.traversals[traversal].graph.edges;
        let events = edges.iter().map(|edge| all[*edge].event);
        events.map(Move::One).collect()
    }
}

/// Counts walks on standard error.
struct WalkProgress(ProgressBar);

impl Sink for WalkProgress {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        if let Event::CaseEnded(record) = event {
            self.0.inc(1);
            if record.verdict != Verdict::Pass {
                self.0.println(format!("{}: {}", record.id, record.verdict));
            }
        }
        Ok(())
    }
}
