//! `fork`, `in`, `exit`: steps that another process executes.

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    node::Node,
    problem::Problem,
    steps::step::Step,
    value,
};

/// `fork: child`
///
/// The copy has the memory and the descriptors that the case has at this point, and waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Fork(String);

impl Fork {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        value::name(body).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("fork {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Fork {
            process: self.0.clone(),
        });
        Ok(())
    }
}

/// `in: {child: [steps]}`
///
/// Names that the steps save are good in every process. What they stand for may not be: a
/// descriptor or an address belongs to the process that made it and to those it forks later.
#[derive(Debug, Clone, PartialEq)]
pub struct In {
    process: String,
    steps: Vec<Step>,
}

impl In {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let (name, steps) = body.single()?;
        let steps: Result<Vec<_>, _> = steps.items().iter().map(Step::read).collect();
        Ok(Self {
            process: name.text.clone(),
            steps: steps?,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("in {}", self.process)
    }

    /// Adds the ops of its steps, each to be executed in that process.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        to.enter(&self.process);
        for step in &self.steps {
            step.compile(index, to)?;
        }
        to.leave();
        Ok(())
    }

    /// Whether a step of it can fail for a reason that lies in the kernel under test.
    #[must_use]
    pub fn asserts(&self) -> bool {
        self.steps.iter().any(Step::asserts)
    }

    /// Whether a step of it makes a default domain an identity domain.
    #[must_use]
    pub fn uses_identity(&self) -> bool {
        self.steps.iter().any(Step::uses_identity)
    }
}

/// `exit: child`
///
/// When it is over, the memory of the process is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Exit(String);

impl Exit {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        value::name(body).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("exit of {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(0)));
        let op = Op::Exit {
            process: self.0.clone(),
        };
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }
}
