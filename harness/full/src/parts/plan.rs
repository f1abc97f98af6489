//! What will run, and how long it takes.

use std::time::Duration;

use runner::root::root;
use vm_images::Terminal;

use crate::{
    FullError,
    parts::{
        state::{self, Outcome, PartFolder},
        table::{self, Part},
    },
};

/// A part that was chosen.
#[derive(Debug)]
pub struct Planned {
    pub part: Part,
    /// How it ended last on this machine.
    pub last: Option<Outcome>,
    /// Hash of what its result depends on.
    pub inputs: String,
    /// What its result depends on besides the project.
    pub machine: String,
    again: bool,
}

impl Planned {
    /// Whether it passed with the same files, and need not run.
    pub fn is_done(&self) -> bool {
        let same = |last: &&Outcome| last.passed() && last.inputs.as_ref() == Some(&self.inputs);
        !self.again && self.last.as_ref().filter(same).is_some()
    }

    /// Returns how long it takes: as long as last time, or by the table.
    pub fn estimate(&self) -> Duration {
        let passed = self.last.as_ref().filter(|last| last.passed());
        passed.map_or_else(|| self.part.estimate(), Outcome::took)
    }

    /// Returns a line for the plan.
    pub fn line(&self) -> String {
        let time = match (&self.last, self.is_done()) {
            (Some(last), true) => format!("passed {}", last.ended),
            _ => format!("about {}", span(self.estimate())),
        };
        format!("{:<16} {time:<28} {}", self.part.name, self.part.summary)
    }
}

/// Returns the parts with these names, or all.
pub fn plan(names: &[String], again: bool) -> Result<Vec<Planned>, FullError> {
    let files = state::files(&root())?;
    let machine = state::machine(&Terminal::new());
    let planned = |part: Part| Planned {
        last: PartFolder::of(&part.name).last(),
        inputs: state::inputs(&part, &files, &machine),
        machine: machine.clone(),
        again,
        part,
    };
    Ok(table::selected(names)?.into_iter().map(planned).collect())
}

/// Returns the plan for people, with the time of what is left.
pub fn shown(plan: &[Planned]) -> String {
    let mut text: String = plan.iter().map(|it| it.line() + "\n").collect();
    let left: Duration = plan
        .iter()
        .filter(|it| !it.is_done())
        .map(Planned::estimate)
        .sum();
    let done = plan.iter().filter(|it| it.is_done()).count();
    text += &format!(
        "{} parts, {done} of them done; about {} left",
        plan.len(),
        span(left)
    );
    text
}

/// Writes a duration in minutes, or in seconds if it is short.
pub fn span(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..90 => format!("{seconds} s"),
        seconds => format!("{} min", seconds.div_ceil(60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(part: usize, last: Option<(u8, &str)>) -> Planned {
        Planned {
            part: table::table().unwrap()[part].clone(),
            last: last.map(|(exit, inputs)| Outcome {
                inputs: Some(inputs.to_owned()),
                ended: "2026-11-27T13-25-09Z".to_owned(),
                exit,
                result: String::new(),
                seconds: 80,
            }),
            inputs: "now".to_owned(),
            machine: String::new(),
            again: false,
        }
    }

    #[test]
    fn the_plan_says_what_is_done_and_how_long_the_rest_takes() {
        let plan = [
            planned(0, Some((0, "now"))),
            planned(1, Some((0, "before"))),
            planned(2, Some((1, "now"))),
            planned(10, None),
        ];
        insta::assert_snapshot!(shown(&plan));
    }
}
