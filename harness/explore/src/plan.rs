//! Worlds, the walks through them, and what came of each.

use std::{io, path::Path};

use model::{Graph, Progress, Rule, Unruled, Walk, World, walks};
use runner::{platform::Platform, record::Record, verdict::Verdict};

use crate::{
    script::{Script, Seen, script},
    sight::Sight,
};

/// Transitions in one walk, unless fewer are left: long enough to need few walks, short
/// enough that a divergence is found early in its case.
const LENGTH: usize = 250;

/// Transitions in a walk of the last rounds.
const SHORTEST: usize = 6;

/// A world, its graph and the walks through it.
pub struct Plan {
    /// The world.
    pub world: World,
    /// What is reachable in it.
    pub graph: Graph,
    /// Together they take every transition.
    pub walks: Vec<Walk>,
    /// What the kernel did of it.
    pub progress: Progress,
    seen: Seen,
}

impl Plan {
    /// Explores a world under some rules.
    ///
    /// # Errors
    /// When the rules have a hole.
    pub fn new(world: World, rules: &[Rule]) -> Result<Self, Unruled> {
        let graph = Graph::explore(&world, rules)?;
        let progress = Progress::new(&graph);
        let walks = walks(&graph, LENGTH, progress.clone());
        Ok(Self {
            world,
            graph,
            walks,
            progress,
            seen: Seen::default(),
        })
    }

    /// Adds walks to what is not yet covered, around what diverges; how many. They are the
    /// shorter the later they are made: where much diverges, one long walk would find little.
    pub fn go_on(&mut self, round: usize) -> usize {
        let length = (LENGTH >> (2 * round).min(8)).max(SHORTEST);
        let more = walks(&self.graph, length, self.progress.clone());
        let count = more.len();
        self.walks.extend(more);
        count
    }

    /// Writes the walks from this one on down.
    fn scripts(&mut self, number: usize, from: usize, platform: &Platform) -> Vec<Walked> {
        let sight = Sight::of(&self.world, platform);
        let walks = self.walks.iter().enumerate().skip(from);
        walks
            .map(|(walk, edges)| Walked {
                plan: number,
                walk,
                script: script(&self.world, &self.graph, edges, &sight, &mut self.seen),
                record: None,
            })
            .collect()
    }

    /// Takes over what a walk covered; the transition that diverged, if that is new.
    pub fn learn(&mut self, walked: &Walked) -> Option<usize> {
        let walk = &self.walks[walked.walk];
        for edge in &walk[..walked.covered(self)] {
            self.progress.take(*edge);
        }
        let diverges = walked.diverges_at()?;
        let edge = *walk.get(diverges)?;
        self.progress.close(edge).then_some(edge)
    }
}

/// One walk, and what came of it.
#[derive(Debug, Clone)]
pub struct Walked {
    /// Position of its plan.
    pub plan: usize,
    /// Position among the plan's walks.
    pub walk: usize,
    /// What is executed.
    pub script: Script,
    /// How it was judged.
    pub record: Option<Record>,
}

impl Walked {
    /// Id of its case.
    #[must_use]
    pub fn id(&self) -> String {
        format!("walk-{}-{:03}", self.plan, self.walk)
    }

    /// How many of its transitions were as the model says.
    #[must_use]
    pub fn covered(&self, plan: &Plan) -> usize {
        match &self.record {
            Some(record) if record.verdict == Verdict::Pass => plan.walks[self.walk].len(),
            _ => self.diverges_at().unwrap_or(0),
        }
    }

    /// Position in the walk of the transition that was not as the model says.
    #[must_use]
    pub fn diverges_at(&self) -> Option<usize> {
        let record = self.record.as_ref()?;
        let failed = record
            .failed_step
            .filter(|_| record.verdict != Verdict::Pass);
        *self.script.transition_of.get(failed?)?
    }

    /// Whether the kernel failed it as a whole: it broke down, or its log says that something
    /// is wrong, and no transition is to blame.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        let verdict = self.record.as_ref().map(|record| record.verdict);
        let of_kernel = |it| !matches!(it, Verdict::Pass | Verdict::Skip | Verdict::Error);
        verdict.is_some_and(of_kernel) && self.diverges_at().is_none()
    }
}

/// Writes the walks of every plan down, for a platform: those from a position on, for each plan.
#[must_use]
pub fn scripts(plans: &mut [Plan], from: &[usize], platform: &Platform) -> Vec<Walked> {
    let plans = plans.iter_mut().zip(from).enumerate();
    plans
        .flat_map(|(number, (plan, from))| plan.scripts(number, *from, platform))
        .collect()
}

/// Makes a folder of cases of them.
///
/// # Errors
/// When it cannot be written.
pub fn write(walked: &[Walked], folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for one in walked {
        let path = folder.join(format!("{}.yaml", one.id()));
        std::fs::write(path, &one.script.text)?;
    }
    Ok(())
}

/// Gives each walk the record of its case.
pub fn take_records(walked: &mut [Walked], records: &[Record]) {
    for one in walked {
        let own = one.id();
        // A case that names its shape has it at the end of its id.
        let mine = |record: &&Record| record.id.split('/').next() == Some(own.as_str());
        one.record = records.iter().find(mine).cloned();
    }
}
