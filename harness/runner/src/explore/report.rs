//! What is printed of an exploration.

use std::io::{self, Write};

use model::Edge;

use crate::{
    exit::Exit,
    explore::{
        error::ExploreError,
        keep::keep,
        options::ExploreOptions,
        plan::{Plan, Walked},
        random::Divergence,
        sight::Sight,
        walking::{Broken, Walking},
    },
    verdict::Verdict,
};

/// Prints the worlds with their sizes, and what is left out of them.
pub fn list(plans: &[Plan]) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    for plan in plans {
        let steps: usize = plan.walks.iter().map(Vec::len).sum();
        writeln!(
            out,
            "{:<28} {:>5} states {:>6} transitions, {:>3} walks of {:>6} steps",
            plan.world.name,
            plan.graph.states.len(),
            plan.graph.edges.len(),
            plan.walks.len(),
            steps
        )?;
    }
    writeln!(out, "left out:")?;
    for (what, why) in model::event::LEFT_OUT {
        writeln!(out, "  {what}: {why}")?;
    }
    Ok(Exit::Ok)
}

/// Prints what was covered, and each rule that the kernel does not keep.
pub fn report(
    options: &ExploreOptions,
    walking: &Walking<'_>,
    divergences: &[(Broken, Option<Divergence>)],
) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    for (broken, divergence) in divergences {
        diverges(&mut out, walking, *broken, divergence.as_ref())?;
    }
    for one in &walking.walked {
        without_transition(&mut out, walking, one)?;
    }
    let (mut covered, mut reachable, mut skipped) = (0, 0, 0);
    for (number, plan) in walking.plans.iter().enumerate() {
        let why = skipped_because(walking, number);
        let (own, all) = (plan.progress.count(), plan.graph.edges.len());
        let name = plan.world.name;
        match &why {
            Some(why) => writeln!(out, "{name:<28}      - / {all:>6}  {why}")?,
            None => writeln!(out, "{name:<28} {own:>6} / {all:>6}")?,
        }
        for limit in Sight::of(&plan.world, &walking.lab.platform).limits() {
            writeln!(out, "{:28} {limit}", "")?;
        }
        match why {
            Some(_) => skipped += all,
            None => (covered, reachable) = (covered + own, reachable + all),
        }
    }
    writeln!(
        out,
        "transitions on {}: {covered} / {reachable}",
        options.platform
    )?;
    if skipped > 0 {
        writeln!(out, "not offered by the platform: {skipped}")?;
    }
    Ok(match covered == reachable && reachable > 0 {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

/// Why no walk of a world could be taken.
fn skipped_because(walking: &Walking<'_>, plan: usize) -> Option<String> {
    let mut walked = walking.walked.iter().filter(|one| one.plan == plan);
    let record = walked.next()?.record.as_ref()?;
    let skipped = record.verdict == Verdict::Skip;
    skipped.then(|| record.reason.clone().unwrap_or_default())
}

fn diverges(
    out: &mut impl Write,
    walking: &Walking<'_>,
    broken: Broken,
    divergence: Option<&Divergence>,
) -> Result<(), ExploreError> {
    let plan = &walking.plans[broken.plan];
    let edge = &plan.graph.edges[broken.edge];
    let closed = (0..plan.graph.edges.len()).filter(|other| {
        plan.progress.is_closed(*other) && plan.graph.edges[*other].rule.name == edge.rule.name
    });
    writeln!(
        out,
        "{} of {} diverge: {}",
        closed.count(),
        plan.world.name,
        rule(edge)
    )?;
    let script = match divergence {
        Some(divergence) => {
            writeln!(out, "  {divergence}")?;
            &divergence.script
        }
        None => {
            let walked = &walking.walked[broken.walked];
            let reason = walked
                .record
                .as_ref()
                .and_then(|record| record.reason.as_deref());
            writeln!(
                out,
                "  it did not diverge again; at first it was\n  {}",
                reason.unwrap_or_default()
            )?;
            writeln!(out, "  state before: {:?}", plan.graph.states[edge.from])?;
            &walked.script
        }
    };
    let name = format!("walk-{}-{}", broken.plan, broken.edge);
    writeln!(out, "{}", keep(&walking.lab, &name, script)?)?;
    Ok(())
}

fn rule(edge: &Edge) -> String {
    format!(
        "{} {:?}: {}",
        edge.rule.name, edge.rule.clauses, edge.rule.says
    )
}

/// A walk that failed as a whole: a guest that was lost, say.
fn without_transition(out: &mut impl Write, walking: &Walking<'_>, one: &Walked) -> io::Result<()> {
    let Some(record) = &one.record else {
        return Ok(());
    };
    if matches!(record.verdict, Verdict::Pass | Verdict::Skip) || one.diverges_at().is_some() {
        return Ok(());
    }
    let kept = keep(&walking.lab, &one.id(), &one.script)?;
    let world = walking.plans[one.plan].world.name;
    writeln!(
        out,
        "{} of {world}: {}\n  {}\n{kept}",
        one.id(),
        record.verdict,
        record.reason.as_deref().unwrap_or_default(),
    )
}
