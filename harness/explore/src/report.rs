//! The report of exhaustive walks.

use std::io::{self, Write};

use model::Edge;
use runner::{exit::Exit, output::Output, record::Record, verdict::Verdict};

use crate::{
    artifacts::Artifacts,
    error::ExploreError,
    exhaustive::{BrokenRule, ExhaustiveWalks},
    minimize::Divergence,
    observability::Observability,
    traversal::{Traversal, WalkCase},
};

/// Prints the worlds with their sizes, and what the model leaves out.
pub fn list(traversals: &[Traversal]) -> Result<Exit, ExploreError> {
    let mut out = Output::stdout();
    for traversal in traversals {
        let steps: usize = traversal.walks.iter().map(Vec::len).sum();
        writeln!(
            out,
            "{:<28} {:>5} states {:>6} transitions, {:>3} walks of {:>6} steps",
            traversal.world.name,
            traversal.graph.states.len(),
            traversal.graph.edges.len(),
            traversal.walks.len(),
            steps
        )?;
    }
    writeln!(out, "left out:")?;
    for (what, why) in model::event::LEFT_OUT {
        writeln!(out, "  {what}: {why}")?;
    }
    Ok(Exit::Ok)
}

/// Prints each rule that the kernel breaks, the walks that were lost, and what was covered.
pub fn report(
    walks: &ExhaustiveWalks<'_>,
    divergences: &[(BrokenRule, Option<Divergence>)],
    minimized: &[(usize, Option<Divergence>)],
) -> Result<Exit, ExploreError> {
    let mut out = Output::stdout();
    for (broken, divergence) in divergences {
        diverges(&mut out, walks, *broken, divergence.as_ref())?;
    }
    for (first, shorter) in minimized {
        lost(&mut out, walks, *first, shorter.as_ref())?;
    }
    for one in &walks.walked {
        without_verdict(&mut out, walks, one)?;
    }
    Ok(coverage(&mut out, walks)?)
}

/// Prints how many transitions of each world and of all conform to the model.
fn coverage(out: &mut impl Write, walks: &ExhaustiveWalks<'_>) -> io::Result<Exit> {
    let (mut covered, mut reachable, mut skipped, mut missing) = (0, 0, 0, 0);
    for (number, traversal) in walks.traversals.iter().enumerate() {
        let why = skipped_because(walks, number);
        let (own, all) = (traversal.marks.count(), traversal.graph.edges.len());
        let name = traversal.world.name;
        match &why {
            Some(why) => writeln!(out, "{name:<28}      - / {all:>6}  {why}")?,
            None => writeln!(out, "{name:<28} {own:>6} / {all:>6}")?,
        }
        for limit in Observability::of(&traversal.world, &walks.lab.platform).limits() {
            writeln!(out, "{:28} {limit}", "")?;
        }
        match why {
            Some(_) if is_missing(walks, number) => missing += all,
            Some(_) => skipped += all,
            None => (covered, reachable) = (covered + own, reachable + all),
        }
    }
    let (platform, accel) = (&walks.lab.platform.name, walks.lab.accel());
    writeln!(
        out,
        "transitions on {platform}: {covered} / {reachable} ({accel})"
    )?;
    if skipped > 0 {
        writeln!(out, "not offered by the platform: {skipped}")?;
    }
    if missing > 0 {
        writeln!(out, "promised by the platform, and missing: {missing}")?;
    }
    Ok(
        match covered == reachable && reachable > 0 && missing == 0 {
            true => Exit::Ok,
            false => Exit::Failed,
        },
    )
}

/// Why no walk of a world could be run. `None` if one of them was run.
fn skipped_because(walks: &ExhaustiveWalks<'_>, traversal: usize) -> Option<String> {
    let records = walks.of_world(traversal).map(|walk| walk.record.as_ref());
    let records: Vec<_> = records.collect();
    let first = records.first().copied().flatten()?;
    let skipped = |record: &Option<&Record>| record.is_some_and(|it| it.verdict == Verdict::Skip);
    let all = records.iter().all(skipped);
    all.then(|| reason(Some(first)).to_owned())
}

/// Whether a world lacks what the platform and the kernel's configuration promise.
fn is_missing(walks: &ExhaustiveWalks<'_>, traversal: usize) -> bool {
    let mut records = walks
        .of_world(traversal)
        .filter_map(|walk| walk.record.as_ref());
    records.any(|record| record.waits_for.is_some())
}

fn reason(record: Option<&Record>) -> &str {
    let reason = record.and_then(|record| record.reason.as_deref());
    reason.unwrap_or_default()
}

/// A rule that the kernel breaks, and the minimized walk that shows it.
fn diverges(
    out: &mut impl Write,
    walks: &ExhaustiveWalks<'_>,
    broken: BrokenRule,
    divergence: Option<&Divergence>,
) -> io::Result<()> {
    let traversal = &walks.traversals[broken.traversal];
    let edges = &traversal.graph.edges;
    let edge = &edges[broken.edge];
    let same_rule = |other: &usize| edges[*other].rule.name == edge.rule.name;
    let closed = (0..edges.len()).filter(|other| traversal.marks.is_closed(*other));
    let count = closed.filter(same_rule).count();
    let world = traversal.world.name;
    writeln!(out, "{count} of {world} diverge: {}", rule(edge))?;
    let script = match divergence {
        Some(divergence) => {
            writeln!(out, "  {divergence}")?;
            &divergence.script
        }
        None => {
            let walked = &walks.walked[broken.walked];
            let (reason, before) = (reason(walked.record.as_ref()), edge.from);
            let before = &traversal.graph.states[before];
            writeln!(
                out,
                "  it did not diverge again; the first result was:\n  {reason}"
            )?;
            writeln!(out, "  state before: {before:?}")?;
            &walked.script
        }
    };
    let name = format!("walk-{}-{}", broken.traversal, broken.edge);
    writeln!(out, "{}", Artifacts::write(&walks.lab, &name, script)?)
}

fn rule(edge: &Edge) -> String {
    let rule = &edge.rule;
    format!("{} {:?}: {}", rule.name, rule.clauses, rule.says)
}

/// A walk that failed as a whole, and the minimized walk.
fn lost(
    out: &mut impl Write,
    walks: &ExhaustiveWalks<'_>,
    first: usize,
    shorter: Option<&Divergence>,
) -> io::Result<()> {
    let one = &walks.walked[first];
    let world = walks.traversals[one.traversal].world.name;
    let script = match shorter {
        Some(shorter) => {
            writeln!(out, "a walk of {world} was lost: {shorter}")?;
            &shorter.script
        }
        None => {
            let reason = reason(one.record.as_ref());
            writeln!(
                out,
                "a walk of {world} was lost, but not again; the first result was:\n  {reason}"
            )?;
            &one.script
        }
    };
    writeln!(out, "{}", Artifacts::write(&walks.lab, &one.id(), script)?)?;
    let all_lost = walks.of_world(one.traversal).filter(|it| it.is_lost());
    match all_lost.count() {
        0 | 1 => Ok(()),
        all => writeln!(out, "  {} further walks of {world} were lost", all - 1),
    }
}

/// A walk that has no verdict.
fn without_verdict(
    out: &mut impl Write,
    walks: &ExhaustiveWalks<'_>,
    one: &WalkCase,
) -> io::Result<()> {
    let record = one.record.as_ref();
    let Some(record) = record.filter(|record| record.verdict == Verdict::Error) else {
        return Ok(());
    };
    let world = walks.traversals[one.traversal].world.name;
    let (id, verdict, reason) = (one.id(), record.verdict, reason(Some(record)));
    writeln!(out, "{id} of {world}: {verdict}\n  {reason}")
}
