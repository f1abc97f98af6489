//! The report of exhaustive walks.

use std::io::{self, Write};

use model::Edge;
use runner::{exit::Exit, output::Output, record::Record, verdict::Verdict};

use crate::{
    artifacts::Artifacts,
    coverage::Coverage,
    error::ExploreError,
    exhaustive::{BrokenRule, ExhaustiveWalks},
    minimize::Divergence,
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
    for record in &walks.machine {
        let why = reason(Some(record));
        writeln!(out, "{}: {}\n  {why}", record.id, record.verdict)?;
    }
    let coverage = Coverage::of(walks);
    write!(out, "{coverage}")?;
    std::fs::write(walks.lab.path().join("explore.json"), coverage.json()?)?;
    Ok(coverage.exit())
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
