//! `events` and `signal`: both ends of an eventfd.

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    fields::Fields,
    node::Node,
    problem::Problem,
    steps::ioctl::read_want,
    value,
};

/// How long an event may take that is to come.
const COMING_MS: u64 = 2000;
/// How long is waited for an event that is not to come: those of an emulated device are
/// there within microseconds, as the control in the same case shows.
const ABSENT_MS: u64 = 5;

/// `events: {on: irq, count: 1}`: waits until the eventfd was signalled, and takes the count;
/// `count: 0` says that nothing comes.
#[derive(Debug, Clone, PartialEq)]
pub struct Events {
    on: String,
    count: Want,
    timeout_ms: u64,
}

impl Events {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "events")?;
        let on = read_name(fields.need("on")?)?;
        let count = read_want(fields.need("count")?, value::value)?;
        let none = count == Want::Is(Value::Const(0));
        let usual = if none { ABSENT_MS } else { COMING_MS };
        let timeout_ms = fields.number("ms")?.unwrap_or(usual);
        fields.finish()?;
        Ok(Self {
            on,
            count,
            timeout_ms,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("events on {}", self.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(self.count.clone());
        let op = Op::Events {
            fd: slot(&self.on),
            timeout_ms: self.timeout_ms,
        };
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }
}

/// `signal: irq`
#[derive(Debug, Clone, PartialEq)]
pub struct Signal(String);

impl Signal {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        read_name(body).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("signal {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Signal { fd: slot(&self.0) });
        Ok(())
    }
}

fn read_name(node: &Node) -> Result<String, Problem> {
    let name = node.text()?;
    value::check_name(node, name)?;
    Ok(name.to_owned())
}

fn slot(name: &str) -> Value {
    Value::Slot {
        name: name.to_owned(),
        add: 0,
    }
}
