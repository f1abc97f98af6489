//! Walks the worlds on a kernel, around what diverges, until nothing new is found.

use std::{collections::BTreeMap, io};

use indicatif::ProgressBar;
use model::{Rule, shortest};
use runner::{
    event::{Event, Sink},
    lab::{Lab, LabError, load_corpus},
    options::MachineOptions,
    run::{Cancel, run},
    snapshot::Mode,
    verdict::Verdict,
};
use tempfile::TempDir;
use vm_images::Terminal;

use crate::{
    course::{Course, Move},
    drawn::Hand,
    error::ExploreError,
    plan::{Plan, Walked, scripts, take_records, write},
    progress::progress_bar,
    random::{Divergence, WalkError, Walker},
    sight::Sight,
};

/// Where nearly everything diverges, the list need not be complete.
const MOST_ROUNDS: usize = 16;

/// Worlds, and a lab to walk them in.
pub struct Walking<'a> {
    /// The worlds.
    pub plans: Vec<Plan>,
    /// All walks that were taken.
    pub walked: Vec<Walked>,
    /// Where.
    pub lab: Lab,
    cancel: &'a Cancel,
    jobs: usize,
    folder: TempDir,
}

/// A rule that the kernel does not keep in a world, and where that was seen first.
#[derive(Debug, Clone, Copy)]
pub struct Broken {
    /// Position of the world's plan.
    pub plan: usize,
    /// Position of the transition in its graph.
    pub edge: usize,
    /// Position among the walks that were taken.
    pub walked: usize,
}

impl<'a> Walking<'a> {
    /// Writes the first walks, and gets everything ready.
    ///
    /// # Errors
    /// With the first part that could not be made.
    pub fn open(
        options: &MachineOptions,
        mut plans: Vec<Plan>,
        cancel: &'a Cancel,
    ) -> Result<Self, ExploreError> {
        let platform = runner::platform::Platform::load(
            &runner::options::root().join("vm-images"),
            &options.platform,
        );
        let platform = platform.map_err(LabError::from)?;
        let folder = TempDir::with_prefix("walks-")?;
        let from = vec![0; plans.len()];
        let walked = scripts(&mut plans, &from, &platform);
        let first = folder.path().join("0");
        write(&walked, &first)?;
        let corpus = load_corpus(&first).map_err(LabError::from)?;
        let progress = Terminal::new();
        let lab = Lab::open(options, corpus, Mode::Ignore, &progress)?;
        drop(progress);
        println!("{}", lab.header());
        Ok(Self {
            plans,
            walked,
            lab,
            cancel,
            jobs: options.jobs(),
            folder,
        })
    }

    /// Takes all walks, and further ones around each divergence. What diverges, in the order
    /// in which it was found.
    ///
    /// # Errors
    /// When there is no guest, or a walk cannot be written down.
    pub fn all(&mut self) -> Result<Vec<Broken>, ExploreError> {
        let mut found = Vec::new();
        let mut from = 0;
        for round in 1..=MOST_ROUNDS {
            self.take(from)?;
            let new = self.learn(from);
            let before = found.len();
            found.extend(new);
            // A walk that is lost names no transition; to take it again would lose it again.
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

    fn take(&mut self, from: usize) -> Result<(), ExploreError> {
        let cases: Vec<_> = self.lab.corpus.cases.iter().collect();
        let mut sinks: Vec<Box<dyn Sink>> =
            vec![Box::new(Progress(progress_bar(cases.len() as u64)))];
        let summary = run(&self.lab, &cases, self.jobs, &mut sinks, self.cancel)?;
        take_records(&mut self.walked[from..], &summary.cases);
        Ok(())
    }

    fn learn(&mut self, from: usize) -> Vec<Broken> {
        let walked = self.walked.iter().enumerate().skip(from);
        walked
            .filter_map(|(number, one)| {
                let edge = self.plans[one.plan].learn(one)?;
                Some(Broken {
                    plan: one.plan,
                    edge,
                    walked: number,
                })
            })
            .collect()
    }

    /// Makes the next round's walks; whether there are any.
    fn go_on(&mut self, round: usize) -> io::Result<bool> {
        let from: Vec<_> = self.plans.iter().map(|plan| plan.walks.len()).collect();
        let more: usize = self.plans.iter_mut().map(|plan| plan.go_on(round)).sum();
        if more == 0 {
            return Ok(false);
        }
        let walked = scripts(&mut self.plans, &from, &self.lab.platform);
        let folder = self.folder.path().join(round.to_string());
        write(&walked, &folder)?;
        self.lab.corpus = load_corpus(&folder).map_err(io::Error::other)?;
        self.walked.extend(walked);
        Ok(true)
    }

    /// The first walk of each world that was lost as a whole, to a panic, say, and what is
    /// left of it when it is made shorter; none where it is not lost again.
    ///
    /// # Errors
    /// When there is no guest.
    pub fn reduce_lost(
        &self,
        rules: &[Rule],
    ) -> Result<Vec<(usize, Option<Divergence>)>, ExploreError> {
        let mut hand = Hand::new(&self.lab, self.cancel)?;
        let mut reduced = Vec::new();
        for plan in 0..self.plans.len() {
            let mut walked = self.walked.iter();
            let first = walked.position(|one| one.plan == plan && one.is_lost());
            let Some(first) = first.filter(|_| !self.cancel.is_cancelled()) else {
                continue;
            };
            let one = &self.walked[first];
            let moves = self.moves(plan, &self.plans[plan].walks[one.walk]);
            let shorter = self.walker(plan, rules).divergence(moves, &mut hand);
            match shorter {
                Ok(shorter) => reduced.push((first, shorter)),
                Err(WalkError::Interrupted) => break,
                Err(WalkError::NoVerdict(_)) => reduced.push((first, None)),
                Err(error) => return Err(ExploreError::Walk(first as u64, error)),
            }
        }
        Ok(reduced)
    }

    /// The shortest walk for each rule that is broken in a world, where one can be found.
    ///
    /// # Errors
    /// When there is no verdict on it.
    pub fn reproduce(
        &self,
        rules: &[Rule],
        found: &[Broken],
    ) -> Result<Vec<(Broken, Option<Divergence>)>, ExploreError> {
        let mut first = BTreeMap::new();
        for broken in found.iter().rev() {
            let rule = self.plans[broken.plan].graph.edges[broken.edge].rule.name;
            first.insert((broken.plan, rule), *broken);
        }
        if first.is_empty() || self.cancel.is_cancelled() {
            return Ok(Vec::new());
        }
        let mut hand = Hand::new(&self.lab, self.cancel)?;
        let mut shortened = Vec::new();
        for broken in first.into_values() {
            let shorter = match self.shorten(rules, broken, &mut hand) {
                // The walk as it was found is all there is to show.
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
        broken: Broken,
        hand: &mut Hand<'_>,
    ) -> Result<Option<Divergence>, ExploreError> {
        let plan = &self.plans[broken.plan];
        let walker = self.walker(broken.plan, rules);
        let failed = |error| ExploreError::Walk(broken.walked as u64, error);
        let short = self.moves(broken.plan, &shortest(&plan.graph, broken.edge));
        let short = walker.divergence(short, hand);
        if let Some(divergence) = short.map_err(failed)? {
            return Ok(Some(divergence));
        }
        let one = &self.walked[broken.walked];
        let whole = &plan.walks[one.walk][..=one.diverges_at().unwrap_or_default()];
        let whole = self.moves(broken.plan, whole);
        walker.divergence(whole, hand).map_err(failed)
    }

    /// Takes single walks of a world.
    fn walker(&self, plan: usize, rules: &[Rule]) -> Walker {
        let world = &self.plans[plan].world;
        Walker {
            begin: Course::begin(world.clone(), rules.to_vec()),
            sight: Sight::of(world, &self.lab.platform),
            seed: 0,
            length: 0,
        }
    }

    fn moves(&self, plan: usize, edges: &[usize]) -> Vec<Move> {
        let all = &self.plans[plan].graph.edges;
        let events = edges.iter().map(|edge| all[*edge].event);
        events.map(Move::One).collect()
    }
}

/// Counts walks on standard error.
struct Progress(ProgressBar);

impl Sink for Progress {
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
