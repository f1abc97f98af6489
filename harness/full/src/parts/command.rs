//! `cargo xtask full [PART]...`: runs the parts one after another.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use runner::{exit::Exit, record::timestamp, root::root, say};
use vm_images::{Progress, Terminal};

use crate::{
    FullError,
    interrupt::Interrupt,
    parts::{
        alike::differing_skips,
        load::Load,
        plan::{Planned, plan, shown, span},
        state::{self, Outcome, PartFolder},
        table::Part,
    },
    process::{Next, Process},
};

/// Time between two looks at Ctrl-C and the clock.
const LOOK: Duration = Duration::from_millis(200);
/// Time for a command to stop and to write its record.
const STOP: Duration = Duration::from_secs(60);
/// Number of lines of a command that failed to repeat.
const REPEATED: usize = 40;

/// Which parts to run.
#[derive(Debug, Clone, Default)]
pub struct PartsOptions {
    /// Names of parts; if empty, all.
    pub names: Vec<String>,
    /// Print the plan only.
    pub list: bool,
    /// Run also what has passed with the same files.
    pub again: bool,
}

/// Runs the parts that have not passed yet with the same files. A part that fails does not keep
/// the others from running.
pub fn run(options: &PartsOptions) -> Result<Exit, FullError> {
    let plan = plan(&options.names, options.again)?;
    say!("{}", shown(&plan));
    if options.list {
        return Ok(Exit::Ok);
    }
    check_programs(&plan)?;
    let interrupt = Interrupt::catch()?;
    let mut ended = Vec::new();
    for planned in &plan {
        let outcome = match &planned.last {
            Some(last) if planned.is_done() => last.clone(),
            _ => execute(planned, &interrupt)?,
        };
        ended.push((planned.part.name.as_str(), outcome));
    }
    for (name, outcome) in &ended {
        let verdict = if outcome.passed() { "passed" } else { "FAILED" };
        let took = span(outcome.took());
        say!("{verdict} {name:<16} {took:>7}  {}", outcome.result);
    }
    Ok(worst(ended.iter().map(|(_, outcome)| outcome.exit)))
}

/// Checks that the parts that will run find their programs.
fn check_programs(plan: &[Planned]) -> Result<(), FullError> {
    let left = plan.iter().filter(|it| !it.is_done()).map(|it| &it.part);
    let lacking = left.filter_map(|part| {
        let programs = part.lacks();
        let told = format!(
            "{} needs {}, not in PATH",
            part.name,
            programs.join(" and ")
        );
        (!programs.is_empty()).then_some(told)
    });
    match lacking.collect::<Vec<_>>() {
        lacking if lacking.is_empty() => Ok(()),
        lacking => Err(FullError::Programs(lacking)),
    }
}

/// A wrong kernel counts more than a part that could not run.
fn worst(codes: impl Iterator<Item = u8>) -> Exit {
    let mut worst = Exit::Ok;
    for code in codes {
        match (code, worst) {
            (0, _) => {}
            (1, _) => worst = Exit::Failed,
            (_, Exit::Ok) => worst = Exit::Host,
            _ => {}
        }
    }
    worst
}

fn execute(planned: &Planned, interrupt: &Interrupt) -> Result<Outcome, FullError> {
    let part = &planned.part;
    let folder = PartFolder::of(&part.name);
    folder.clear()?;
    let start = Instant::now();
    let (mut exit, lines) = follow(planned, &folder, interrupt)?;
    let mut result = result(&lines);
    if let (Some(other), 0) = (&part.alike, exit) {
        let differing = differing_skips(&part.name, other, &part.without)?;
        if !differing.is_empty() {
            differing.iter().for_each(|line| say!("{line}"));
            result += &format!(
                "; {} cases run on only one of it and {other}",
                differing.len()
            );
            exit = Exit::Failed.number();
        }
    } else if exit != 0 {
        let from = lines.len().saturating_sub(REPEATED);
        lines.iter().skip(from).for_each(|line| say!("    {line}"));
        say!(
            "{} ended with {exit}; all its output: {}",
            part.name,
            folder.log().display()
        );
    }
    let outcome = Outcome {
        inputs: unchanged(planned)?,
        ended: timestamp(),
        exit,
        result,
        seconds: start.elapsed().as_secs(),
    };
    folder.keep(&outcome)?;
    Ok(outcome)
}

/// Returns the hash of the inputs if no file changed while the part ran.
fn unchanged(planned: &Planned) -> Result<Option<String>, FullError> {
    let now = state::inputs(&planned.part, &state::files(&root())?, &planned.machine);
    Ok((now == planned.inputs).then_some(now))
}

/// Runs the command of a part to its end. Returns its exit code and output.
fn follow(
    planned: &Planned,
    folder: &PartFolder,
    interrupt: &Interrupt,
) -> Result<(u8, Vec<String>), FullError> {
    let part = &planned.part;
    let _load = part.load.then(Load::start);
    let mut process = Process::start(command(part, &folder.record())?, &folder.log())?;
    let mut shown = Shown::new(planned);
    let mut lines = Vec::new();
    loop {
        if interrupt.has_come() {
            process.stop(STOP);
            return Err(FullError::Interrupted);
        }
        match process.next(LOOK) {
            Next::Line(line) => lines.push(line),
            Next::Silence => {}
            Next::End => break,
        }
        shown.update(lines.last());
    }
    let ended = process.end().map_err(|error| FullError::Start {
        program: part.name.clone(),
        error,
    })?;
    // No code: a signal ended it.
    let code = ended.code().and_then(|code| u8::try_from(code).ok());
    Ok((code.unwrap_or_else(|| Exit::Host.number()), lines))
}

fn command(part: &Part, record: &Path) -> Result<Command, FullError> {
    let program = std::env::current_exe().map_err(|error| FullError::Start {
        program: "this program".to_owned(),
        error,
    })?;
    let mut command = Command::new(program);
    command.args(part.words()).arg("--record").arg(record);
    Ok(command)
}

/// The last line of a command that is no name of a file.
fn result(lines: &[String]) -> String {
    let told = |line: &&String| !line.is_empty() && !line.starts_with("record:");
    let last = lines.iter().rev().find(told);
    last.cloned().unwrap_or_else(|| "no output".to_owned())
}

/// Progress of one part: its name, the time, and its last line of output.
struct Shown {
    progress: Terminal,
    head: String,
    start: Instant,
    interval: Duration,
    next: Duration,
}

impl Shown {
    fn new(planned: &Planned) -> Self {
        let seconds = if stderr().is_terminal() { 1 } else { 60 };
        let (name, estimate) = (&planned.part.name, span(planned.estimate()));
        let progress = Terminal::new();
        let head = format!("{name} (about {estimate})");
        progress.stage(&head);
        Self {
            progress,
            head,
            start: Instant::now(),
            interval: Duration::from_secs(seconds),
            next: Duration::from_secs(seconds),
        }
    }

    fn update(&mut self, line: Option<&String>) {
        let elapsed = self.start.elapsed();
        if elapsed < self.next {
            return;
        }
        self.next = elapsed + self.interval;
        let line = line.map(String::as_str).unwrap_or_default();
        let time = span(elapsed);
        self.progress
            .note(&format!("{}, {time}: {line}", self.head));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all_passed(&[0, 0], Exit::Ok)]
    #[case::host(&[0, 70, 2], Exit::Host)]
    #[case::kernel_counts_more(&[70, 1, 70], Exit::Failed)]
    fn the_exit_code_is_that_of_the_worst_part(#[case] codes: &[u8], #[case] expected: Exit) {
        assert_eq!(worst(codes.iter().copied()), expected);
    }

    #[test]
    fn the_result_is_the_last_line_with_figures() {
        let lines = ["x", "PASS 3 in 2 s", "record: /x", ""].map(str::to_owned);
        assert_eq!(result(&lines), "PASS 3 in 2 s");
    }
}
