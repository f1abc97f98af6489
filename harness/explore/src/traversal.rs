//! Worlds, the walks through them, and the result of each.

use std::{io, path::Path};

use model::{EdgeMarks, Graph, Rule, Unruled, Walk, World, walks};
use runner::{platform::Platform, record::Record, verdict::Verdict};

use crate::{
    observability::Observability,
    script::{Script, Seen},
};

/// Beginning of the id of each walk.
pub const WALK: &str = "walk-";

/// Transitions in one walk: enough to need few walks, and few enough that a divergence is found
/// early in its case.
const LENGTH: usize = 250;

/// Transitions in a walk of the last rounds.
const SHORTEST: usize = 6;

/// A world, its graph and the walks through it.
pub struct Traversal {
    /// The world.
    pub world: World,
    /// The graph of its reachable states.
    pub graph: Graph,
    /// Walks that together take every transition.
    pub walks: Vec<Walk>,
    /// The transitions that were taken and observed, and those that diverge.
    pub marks: EdgeMarks,
    /// What walks that ran have observed.
    seen: Seen,
}

impl Traversal {
    /// Explores a world under some rules.
    pub fn new(world: World, rules: &[Rule]) -> Result<Self, Unruled> {
        let graph = Graph::explore(&world, rules)?;
        let marks = EdgeMarks::new(&graph);
        let walks = walks(&graph, LENGTH, marks.clone());
        Ok(Self {
            world,
            graph,
            walks,
            marks,
            seen: Seen::default(),
        })
    }

    /// Adds walks to the transitions that are not yet covered, avoiding those that diverge, and
    /// returns their number. Later rounds have shorter walks, because a long walk finds little if
    /// much diverges.
    pub fn go_on(&mut self, round: usize) -> usize {
        let length = (LENGTH >> (2 * round).min(8)).max(SHORTEST);
        let more = walks(&self.graph, length, self.marks.clone());
        let count = more.len();
        self.walks.extend(more);
        count
    }

    /// Writes the walks from this position on as cases.
    fn walk_cases(&self, number: usize, from: usize, platform: &Platform) -> Vec<WalkCase> {
        let observability = Observability::of(&self.world, platform);
        // A walk that diverges or is lost does not make all of its observations, so they count
        // only when it has run.
        let mut planned = self.seen.clone();
        let walks = self.walks.iter().enumerate().skip(from);
        walks
            .map(|(walk, edges)| WalkCase {
                traversal: number,
                walk,
                script: Script::of_edges(
                    &self.world,
                    &self.graph,
                    edges,
                    &observability,
                    &mut planned,
                ),
                record: None,
            })
            .collect()
    }

    /// Notes what a walk observed, and returns the transition that diverges, if it is new.
    pub fn learn(&mut self, walked: &WalkCase) -> Option<usize> {
        let covered = walked.covered(self);
        let walk = &self.walks[walked.walk];
        let looks = walked.script.looks.iter();
        for look in looks.filter(|look| look.position < covered) {
            if let Some(edge) = walk.get(look.position) {
                self.seen.add(*edge, &self.graph.edges[*edge], look.extent);
            }
        }
        for (number, edge) in self.graph.edges.iter().enumerate() {
            if self.seen.is_complete(number, edge) {
                self.marks.take(number);
            }
        }
        let diverges = walked.diverges_at()?;
        let edge = *walk.get(diverges)?;
        self.marks.close(edge).then_some(edge)
    }
}

/// A walk as a case, and its result.
#[derive(Debug, Clone)]
pub struct WalkCase {
    /// Position of its world.
    pub traversal: usize,
    /// Position among the walks through that world.
    pub walk: usize,
    /// The case.
    pub script: Script,
    /// The record of the case.
    pub record: Option<Record>,
}

impl WalkCase {
    /// Id of its case.
    pub fn id(&self) -> String {
        format!("{WALK}{}-{:03}", self.traversal, self.walk)
    }

    /// How many of its transitions conform to the model.
    pub fn covered(&self, traversal: &Traversal) -> usize {
        match &self.record {
            Some(record) if record.verdict == Verdict::Pass => traversal.walks[self.walk].len(),
            _ => self.diverges_at().unwrap_or(0),
        }
    }

    /// Position in the walk of the transition that diverges.
    pub fn diverges_at(&self) -> Option<usize> {
        let record = self.record.as_ref()?;
        let failed = record
            .failed_step
            .filter(|_| record.verdict != Verdict::Pass);
        *self.script.transition_of.get(failed?)?
    }

    /// Whether it has no verdict on the kernel, because the infrastructure failed.
    pub fn has_no_verdict(&self) -> bool {
        let record = self.record.as_ref();
        record.is_some_and(|record| record.verdict == Verdict::Error)
    }

    /// Whether the walk failed as a whole, without a transition that diverges: the kernel panicked
    /// or hung, or its log has a warning.
    pub fn is_lost(&self) -> bool {
        let verdict = self.record.as_ref().map(|record| record.verdict);
        let of_kernel = |it| !matches!(it, Verdict::Pass | Verdict::Skip | Verdict::Error);
        verdict.is_some_and(of_kernel) && self.diverges_at().is_none()
    }
}

/// Writes the walks through every world as cases for a platform, starting at a position for each
/// world.
pub fn walk_cases(traversals: &[Traversal], from: &[usize], platform: &Platform) -> Vec<WalkCase> {
    let traversals = traversals.iter().zip(from).enumerate();
    traversals
        .flat_map(|(number, (traversal, from))| traversal.walk_cases(number, *from, platform))
        .collect()
}

/// Writes the cases into a folder.
pub fn write(walked: &[WalkCase], folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for one in walked {
        let path = folder.join(format!("{}.yaml", one.id()));
        std::fs::write(path, &one.script.text)?;
    }
    Ok(())
}

/// Gives each walk the record of its case.
pub fn take_records(walked: &mut [WalkCase], records: &[Record]) {
    for one in walked {
        let own = one.id();
        // If a case has a shape, its id ends with it.
        let mine = |record: &&Record| record.id.split('/').next() == Some(own.as_str());
        // A walk that was run again has a second record; the others keep theirs.
        if let Some(record) = records.iter().find(mine) {
            one.record = Some(record.clone());
        }
    }
}
