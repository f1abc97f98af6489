//! `repeat`: a step many times in a row.

use crate::{
    build::Builder, fields::Fields, node::Node, problem::Problem, steps::step::Step, value,
};

/// `repeat: {times: 1000, count: n, step: {VFIO_DEVICE_IOEVENTFD: {on: a, data: $n, fd: $irq}}}`
///
/// It stops when the step does not succeed; what the step expects is compared with the last
/// execution. `$n` is 0 in the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Repeat {
    times: u64,
    counter: String,
    step: Box<Step>,
}

impl Repeat {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "repeat")?;
        let node = fields.need("times")?;
        let times = node.number()?;
        if times == 0 {
            return Err(Problem::other(node.at, "a step repeated 0 times is none"));
        }
        let counter = fields.take("count").map(value::name).transpose()?;
        let step = Step::read(fields.need("step")?)?;
        fields.finish()?;
        Ok(Self {
            times,
            counter: counter.unwrap_or_else(|| "count".to_owned()),
            step: Box::new(step),
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} times {}", self.times, self.step.label)
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// Adds the ops of the step, each to be repeated.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        to.repeatedly(self.times, &self.counter);
        let compiled = self.step.compile(index, to);
        to.once();
        compiled
    }
}
