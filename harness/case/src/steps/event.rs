//! Eventfds.

use wire::{EventOp, NewFd, Timeout, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    input::{SlotName, body, newtype},
    steps::Action,
};

/// Timeout for an event that has to come.
const COMING_MS: u64 = 2000;
/// Timeout for an event that must not come. Events of an emulated device arrive within
/// microseconds, as the control in the same case shows.
const ABSENT_MS: u64 = 5;

newtype! {
    /// `eventfd: irq`
    pub struct Eventfd(SlotName);
}

impl Action for Eventfd {
    fn label(&self) -> String {
        format!("eventfd {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let save = NewFd(self.0.0.clone());
        to.prepare(EventOp::Eventfd { save });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

body! {
    /// `wait: {on: irq, ms: 1000, ready: true}`
    pub struct Wait in "wait" {
        /// The descriptor to wait for.
        on: SlotName,
        /// How long to wait, in milliseconds.
        ms: u64 = 2000,
        /// Whether the descriptor has to become readable.
        ready: bool = true,
    }
}

impl Action for Wait {
    fn label(&self) -> String {
        format!("wait for {}", self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(u64::from(self.ready))));
        let op = EventOp::Wait {
            fd: self.on.fd(),
            timeout: Timeout(self.ms),
        };
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `events: {on: irq, count: 1}`
    pub struct Events in "events" {
        /// The eventfd to read.
        on: SlotName,
        /// The count to read from it; 0 means that no event comes.
        count: Want,
        /// How long to wait, in milliseconds. Default: 2000, or 5 if no event must come.
        ms: Option<u64>,
    }
}

impl Action for Events {
    fn label(&self) -> String {
        format!("events on {}", self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(self.count.clone());
        let none = self.count == Want::Is(Value::Const(0));
        let usual = if none { ABSENT_MS } else { COMING_MS };
        let op = EventOp::Events {
            fd: self.on.fd(),
            timeout: Timeout(self.ms.unwrap_or(usual)),
        };
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }
}

newtype! {
    /// `signal: irq`
    pub struct Signal(SlotName);
}

impl Action for Signal {
    fn label(&self) -> String {
        format!("signal {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(EventOp::Signal { fd: self.0.fd() });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}
