//! A step many times in a row.

use crate::{
    build::Builder,
    input::{SlotName, body},
    node::At,
    problem::Problem,
    steps::{Action, Step},
};

body! {
    /// `repeat: {times: 1000, count: n, step: {VFIO_DEVICE_IOEVENTFD: {on: a, data: $n, fd: $irq}}}`
    ///
    /// It stops when the step fails. The expectations of the step apply to the last execution.
    pub struct Repeat in "repeat" if Repeat::check {
        /// How many times to execute the step.
        times: u64,
        /// The name for the number of earlier executions.
        count: SlotName = SlotName("count".to_owned()),
        /// The step to execute.
        step: Box<Step>,
    }
}

impl Repeat {
    fn check(&self, at: At) -> Result<(), Problem> {
        match self.times {
            0 => Err(Problem::other(at, "`times` has to be at least 1")),
            _ => Ok(()),
        }
    }
}

impl Action for Repeat {
    fn label(&self) -> String {
        format!("{} times {}", self.times, self.step.label)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.repeatedly(self.times, &self.count.0);
        let compiled = self.step.compile(to.step(), to);
        to.once();
        compiled
    }

    fn inner(&self) -> Vec<&Step> {
        vec![&self.step]
    }

    fn asserts(&self) -> bool {
        self.step.asserts()
    }
}
