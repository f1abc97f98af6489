//! `fork`, `in`, `exit`: steps that another process executes.

use std::collections::BTreeMap;

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    fields::Fields,
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

    /// What the process makes.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
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

/// `start: {child: step}`
///
/// The process begins a call that may take its time; `finish: child` waits for it, and what
/// the step expects is looked at then.
#[derive(Debug, Clone, PartialEq)]
pub struct Start(In);

impl Start {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let within = In::read(body)?;
        match within.steps.as_slice() {
            [step] if step.is_ioctl() => Ok(Self(within)),
            _ => Err(Problem::other(
                body.at,
                "a process begins one ioctl at a time",
            )),
        }
    }

    /// Who begins.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.0.process
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("start in {}", self.0.process)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        self.0.compile(index, to)?;
        to.start_op(&self.0.process)
    }
}

/// Checks that each call that a process begins is waited for before it begins another one.
///
/// # Errors
/// At the first step that is out of place.
pub fn check_calls(steps: &[Step]) -> Result<(), Problem> {
    let mut begun = BTreeMap::new();
    for step in steps {
        let earlier = match (step.begins(), step.finishes()) {
            (Some(process), _) => begun.insert(process, step.at).map(|_| "has not finished"),
            (_, Some(process)) => begun
                .remove(process)
                .is_none()
                .then_some("has begun nothing"),
            _ => None,
        };
        if let Some(why) = earlier {
            return Err(Problem::other(step.at, format!("the process {why}")));
        }
    }
    match begun.into_values().next() {
        None => Ok(()),
        Some(at) => Err(Problem::other(
            at,
            "no step waits for this: `finish` is missing",
        )),
    }
}

/// `finish: child`
#[derive(Debug, Clone, PartialEq)]
pub struct Finish(String);

impl Finish {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        value::name(body).map(Self)
    }

    /// Who finishes.
    #[must_use]
    pub fn process(&self) -> &str {
        &self.0
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("finish of {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// When nothing was started.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.finish_op(&self.0)
    }
}

/// `hold: {memory: $page, length: 0x1000, save: gate}`
///
/// Who touches a page of it first waits until another process releases it.
#[derive(Debug, Clone, PartialEq)]
pub struct Hold {
    memory: Value,
    length: u64,
    save: String,
}

impl Hold {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "hold")?;
        let memory = value::value(fields.need("memory")?)?;
        let length = fields.number("length")?.unwrap_or(0x1000);
        let save = value::name(fields.need("save")?)?;
        fields.finish()?;
        Ok(Self {
            memory,
            length,
            save,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("hold {}", self.save)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Hold {
            at: self.memory.clone(),
            length: self.length,
            save: self.save.clone(),
        });
        Ok(())
    }
}

/// `held: {child: gate}` waits until the process is held; `release: {child: gate}` lets it go.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate {
    process: String,
    hold: String,
}

/// Longest wait for a process to be held.
const HELD_MS: u64 = 5_000;

impl Gate {
    /// Reads either step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let (process, hold) = body.single()?;
        Ok(Self {
            process: process.text.clone(),
            hold: value::name(hold)?,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} at {}", self.process, self.hold)
    }

    fn slot(name: String) -> Value {
        Value::Slot { name, add: 0 }
    }

    fn touched(&self) -> String {
        format!("{}_touched", self.hold)
    }

    /// Adds the op that waits.
    ///
    /// # Errors
    /// Never.
    pub fn compile_held(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Held {
            process: self.process.clone(),
            hold: Self::slot(self.hold.clone()),
            timeout_ms: HELD_MS,
            save: self.touched(),
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }

    /// Adds the op that lets go.
    ///
    /// # Errors
    /// Never.
    pub fn compile_release(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Release {
            process: self.process.clone(),
            hold: Self::slot(self.hold.clone()),
            at: Self::slot(self.touched()),
        });
        Ok(())
    }
}

/// `blocked: child`
///
/// Waits until the process sleeps in the call that it has begun: it waits for a lock, say,
/// that a process has which is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Blocked(String);

impl Blocked {
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
        format!("{} is blocked", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Blocked {
            process: self.0.clone(),
            timeout_ms: HELD_MS,
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
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
