//! What is printed of an exploration.

use std::io::{self, Write};

use model::Edge;
use runner::{exit::Exit, verdict::Verdict};

use crate::{
    error::ExploreError,
    keep::keep,
    plan::{Plan, Walked},
    random::Divergence,
    sight::Sight,
    walking::{Broken, Walking},
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

/// Prints what was covered, each rule that the kernel does not keep, and what was lost.
pub fn report(
    walking: &Walking<'_>,
    divergences: &[(Broken, Option<Divergence>)],
    reduced: &[(usize, Option<Divergence>)],
) -> Result<Exit, ExploreError> {
    let mut out = io::stdout().lock();
    for (broken, divergence) in divergences {
        diverges(&mut out, walking, *broken, divergence.as_ref())?;
    }
    for (first, shorter) in reduced {
        lost(&mut out, walking, *first, shorter.as_ref())?;
    }
    for one in &walking.walked {
        without_verdict(&mut out, walking, one)?;
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
        "transitions on {}: {covered} / {reachable} ({})",
        walking.lab.platform.name,
        walking.lab.accel()
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

/// A walk that the kernel failed as a whole, and what is left of it.
fn lost(
    out: &mut impl Write,
    walking: &Walking<'_>,
    first: usize,
    shorter: Option<&Divergence>,
) -> io::Result<()> {
    let one = &walking.walked[first];
    let world = walking.plans[one.plan].world.name;
    let (record, script) = match shorter {
        Some(shorter) => (Some(&shorter.record), &shorter.script),
        None => (one.record.as_ref(), &one.script),
    };
    write!(out, "a walk of {world} is lost: ")?;
    match (shorter, record) {
        (Some(shorter), _) => writeln!(out, "{shorter}")?,
        (None, record) => {
            let reason = record.and_then(|record| record.reason.as_deref());
            writeln!(
                out,
                "it was not lost again; at first it was\n  {}",
                reason.unwrap_or_default()
            )?;
        }
    }
    writeln!(out, "{}", keep(&walking.lab, &one.id(), script)?)?;
    let alike = walking.walked.iter().filter(|it| it.plan == one.plan);
    match alike.filter(|it| it.is_lost()).count() {
        0 | 1 => Ok(()),
        all => writeln!(out, "  {} further walks of {world} are lost", all - 1),
    }
}

/// A walk on which there is no verdict.
fn without_verdict(out: &mut impl Write, walking: &Walking<'_>, one: &Walked) -> io::Result<()> {
    let record = one.record.as_ref();
    let Some(record) = record.filter(|record| record.verdict == Verdict::Error) else {
        return Ok(());
    };
    writeln!(
        out,
        "{} of {}: {}\n  {}",
        one.id(),
        walking.plans[one.plan].world.name,
        record.verdict,
        record.reason.as_deref().unwrap_or_default(),
    )
}
