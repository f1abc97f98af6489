//! Worlds, the walks through them, and what came of each.

use std::{io, path::Path};

use model::{Graph, Rule, Unruled, Walk, World, walks};

use crate::{
    explore::script::{Script, Seen, script, shape_name},
    platform::{KnownDeviation, Platform},
    record::Record,
    verdict::Verdict,
};

/// Transitions in one walk, unless fewer are left: long enough to need few walks, short
/// enough that a divergence is found early in its case.
const LENGTH: usize = 250;

/// A world, its graph and the walks through it.
pub struct Plan {
    /// The world.
    pub world: World,
    /// What is reachable in it.
    pub graph: Graph,
    /// Together they take every transition.
    pub walks: Vec<Walk>,
}

impl Plan {
    /// Explores a world under some rules.
    ///
    /// # Errors
    /// When the rules have a hole.
    pub fn new(world: World, rules: &[Rule]) -> Result<Self, Unruled> {
        let graph = Graph::explore(&world, rules)?;
        let walks = walks(&graph, LENGTH);
        Ok(Self {
            world,
            graph,
            walks,
        })
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
        let Some(record) = &self.record else {
            return 0;
        };
        match (record.verdict, record.failed_step) {
            (Verdict::Pass, _) => plan.walks[self.walk].len(),
            (_, Some(step)) => self.transition_of(step).unwrap_or(0),
            _ => 0,
        }
    }

    /// The transition that a step of the script belongs to, as position in the walk.
    #[must_use]
    pub fn transition_of(&self, step: usize) -> Option<usize> {
        *self.script.transition_of.get(step)?
    }
}

/// Writes every walk of every plan down, for a platform.
#[must_use]
pub fn scripts(plans: &[Plan], platform: &Platform) -> Vec<Walked> {
    let mut walked = Vec::new();
    for (number, plan) in plans.iter().enumerate() {
        let shape = case::Shape::named(shape_name(plan.world.groups[0].shape));
        let control = platform
            .known(KnownDeviation::NoIdentityControl, shape)
            .is_none();
        let mut seen = Seen::default();
        for (walk, edges) in plan.walks.iter().enumerate() {
            walked.push(Walked {
                plan: number,
                walk,
                script: script(&plan.world, &plan.graph, edges, control, &mut seen),
                record: None,
            });
        }
    }
    walked
}

/// Makes a folder of cases of them.
///
/// # Errors
/// When it cannot be written.
pub fn write(walked: &[Walked], folder: &Path) -> io::Result<()> {
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
