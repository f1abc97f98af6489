//! One step of a case: its key says what it does.

use crate::{
    At,
    build::Builder,
    expect::WantEnd,
    input::Input,
    node::Node,
    problem::Problem,
    spec::Spec,
    steps::{
        Action,
        ioctl::Ioctl,
        registers::Registers,
        table::{AnyAction, step_keys},
    },
};

/// One step of a case.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands.
    pub at: At,
    /// What it does, for a reader.
    pub label: String,
    /// What a kernel that conforms to the plan of 2021 would answer instead.
    pub plan: Option<WantEnd>,
    action: AnyAction,
}

impl Input for Step {
    fn read(node: &Node) -> Result<Self, Problem> {
        let (name, body) = node.single()?;
        let key = name.text.as_str();
        if is_ioctl(key) {
            let ioctl = Ioctl::read(name, body)?;
            return Ok(Self {
                at: name.at,
                label: ioctl.label(),
                plan: ioctl.plan.clone(),
                action: AnyAction::Ioctl(Box::new(ioctl)),
            });
        }
        let action = AnyAction::read(key, body)
            .ok_or_else(|| Problem::unknown_name(name.at, "step", key, step_keys()))??;
        Ok(Self {
            at: name.at,
            label: action.action().label(),
            plan: None,
            action,
        })
    }

    fn spec() -> Spec {
        Spec::Step
    }
}

/// The names of ioctls are in capitals, those of the other steps are not.
fn is_ioctl(key: &str) -> bool {
    let in_capitals = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    key.bytes().all(in_capitals)
}

impl Step {
    /// Reads a step.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        Input::read(node)
    }

    /// Adds the step's ops and checks; an error names the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        to.begin(index, self.label.clone(), self.at, self.plan.clone());
        self.action.action().compile(to)
    }

    /// Whether it makes one system call, into which failures can be injected.
    pub fn is_one_call(&self) -> bool {
        self.action.action().is_one_call()
    }

    /// Itself, and before it the steps of which it is made, if each ends as it says itself.
    pub fn flattened(&self) -> Vec<&Self> {
        let inner = self.action.action().determined();
        let inner = inner.iter().flat_map(Self::flattened);
        inner.chain([self]).collect()
    }

    /// Itself and every step that it makes, in order.
    pub fn all(&self) -> Vec<&Self> {
        let inner = self.action.action().inner();
        let inner = inner.into_iter().flat_map(Self::all);
        std::iter::once(self).chain(inner).collect()
    }

    /// What it has to do with registers of a device.
    pub fn registers(&self) -> Registers<'_> {
        self.action.action().registers()
    }

    /// The ioctl it makes.
    pub fn ioctl(&self) -> Option<&Ioctl> {
        self.action.action().ioctl()
    }

    /// The errno that each injected failure gives, where that is a single one.
    pub fn injected(&self) -> Option<i32> {
        self.action.action().injected()
    }

    /// An ioctl has to end like this; the other steps say it in their own words.
    pub fn want(&mut self, end: WantEnd) {
        if let AnyAction::Ioctl(ioctl) = &mut self.action {
            ioctl.want(end);
        }
    }

    /// Whether it makes a default domain an identity domain.
    pub fn uses_identity(&self) -> bool {
        self.action.action().uses_identity()
    }

    /// Whether it is an ioctl.
    pub fn is_ioctl(&self) -> bool {
        matches!(self.action, AnyAction::Ioctl(_))
    }

    /// The process that begins a call here.
    pub fn begins(&self) -> Option<&str> {
        self.action.action().begins()
    }

    /// The process whose call is waited for here.
    pub fn finishes(&self) -> Option<&str> {
        self.action.action().finishes()
    }

    /// Whether it can fail for a reason that lies in the kernel under test.
    pub fn asserts(&self) -> bool {
        self.action.action().asserts()
    }
}
