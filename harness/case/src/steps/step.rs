//! A step of a case, and what every kind of step can do.

use std::{fmt::Debug, sync::Arc};

use wire::Op;

use crate::{
    At,
    build::Builder,
    expect::{Check, Planned, WantEnd},
    role::NOT_DECLARED,
    steps::{
        ioctl::{Ioctl, Newer, Unnamed},
        registers::Registers,
    },
};

/// One step of a case.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it stands.
    pub at: At,
    /// What it does, in words.
    pub label: String,
    /// What it shows on a kernel that conforms to the plan of 2021.
    pub plans: Vec<Plan>,
    action: Arc<dyn Action>,
}

/// What a step shows on a kernel that conforms to a clause of the plan.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The clause; without one it is each that the case shows Linux to deviate from.
    pub clause: Option<String>,
    /// The same step with other expectations.
    pub action: Arc<dyn Action>,
}

/// A kind of step. All methods except the first two have defaults.
pub trait Action: Debug + Send + Sync {
    /// What it does, in a few words: transcripts and failures show it.
    fn label(&self) -> String;

    /// Adds its ops and their expectations. The error is a need that the guest does not meet.
    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String>;

    /// The steps that it is made of.
    fn inner(&self) -> Vec<&Step> {
        Vec::new()
    }

    /// The labels of its checks, if they are not its own.
    fn check_labels(&self) -> Vec<String> {
        Vec::new()
    }

    /// The steps that it is made of, if each ends as it says.
    fn determined(&self) -> &[Step] {
        &[]
    }

    /// Whether it makes one system call, into which failures can be injected.
    fn is_one_call(&self) -> bool {
        false
    }

    /// Whether a process can begin it and end it later: it makes one system call.
    fn may_begin(&self) -> bool {
        self.is_one_call()
    }

    /// How it uses registers of a device.
    fn registers(&self) -> Registers<'_> {
        Registers::Untouched
    }

    /// The ioctl that it makes.
    fn ioctl(&self) -> Option<&Ioctl> {
        None
    }

    /// Whether it is itself an ioctl.
    fn is_ioctl(&self) -> bool {
        false
    }

    /// The errno after each injected failure, if there is only one.
    fn injected(&self) -> Option<i32> {
        None
    }

    /// The process that begins a call here.
    fn begins(&self) -> Option<&str> {
        None
    }

    /// The process whose call is waited for here.
    fn finishes(&self) -> Option<&str> {
        None
    }

    /// Whether it executes steps at once.
    fn races(&self) -> bool {
        self.inner().into_iter().any(Step::races)
    }

    /// Whether devices are in another order on their bus afterwards.
    fn reorders_devices(&self) -> bool {
        self.inner().into_iter().any(Step::reorders_devices)
    }

    /// Whether it makes a default domain an identity domain.
    fn uses_identity(&self) -> bool {
        self.inner().into_iter().any(Step::uses_identity)
    }

    /// Whether it can fail because of the kernel under test.
    fn asserts(&self) -> bool {
        true
    }
}

impl Step {
    /// A step that does this.
    pub fn new(at: At, action: Arc<dyn Action>, plans: Vec<Plan>) -> Self {
        let label = action.label();
        Self {
            at,
            label,
            plans,
            action,
        }
    }

    /// Adds the step's ops and checks. The error is a need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        if self.plans.is_empty() {
            return self.compile_as(&self.action, index, to);
        }
        let today = to.capture(|to| self.compile_as(&self.action, index, to));
        let mut made = match today {
            // What only the plan has is left out where the kernel's headers do not have it.
            Err(need) if need.starts_with(NOT_DECLARED) => return Ok(()),
            today => today?,
        };
        for plan in &self.plans {
            let clauses = to.about().clauses(plan.clause.as_deref());
            if clauses.is_empty() {
                continue;
            }
            let planned = match to.capture(|to| self.compile_as(&plan.action, index, to)) {
                Err(need) if need.starts_with(NOT_DECLARED) => continue,
                planned => planned?,
            };
            for clause in clauses {
                add_plan(&mut made, &planned, &clause)?;
            }
        }
        to.extend(made);
        Ok(())
    }

    fn compile_as(
        &self,
        action: &Arc<dyn Action>,
        index: usize,
        to: &mut Builder<'_>,
    ) -> Result<(), String> {
        to.begin(index, self.label.clone(), self.at);
        action.compile(to)
    }

    /// The labels of its checks.
    pub fn labels(&self) -> Vec<String> {
        let labels = self.action.check_labels();
        match labels.is_empty() {
            true => vec![self.label.clone()],
            false => labels,
        }
    }

    /// Whether it makes one system call, into which failures can be injected.
    pub fn is_one_call(&self) -> bool {
        self.action.is_one_call()
    }

    /// Whether a process can begin it and end it later: it makes one system call.
    pub fn may_begin(&self) -> bool {
        self.action.may_begin()
    }

    /// Returns the steps that it is made of, if each ends as it says, and then itself.
    pub fn flattened(&self) -> Vec<&Self> {
        let inner = self.action.determined().iter().flat_map(Self::flattened);
        inner.chain([self]).collect()
    }

    /// Itself and every step that it makes, in order.
    pub fn all(&self) -> Vec<&Self> {
        let inner = self.action.inner().into_iter().flat_map(Self::all);
        std::iter::once(self).chain(inner).collect()
    }

    /// How it uses registers of a device.
    pub fn registers(&self) -> Registers<'_> {
        self.action.registers()
    }

    /// The ioctl it makes.
    pub fn ioctl(&self) -> Option<&Ioctl> {
        self.action.ioctl()
    }

    /// The errno after each injected failure, if there is only one.
    pub fn injected(&self) -> Option<i32> {
        self.action.injected()
    }

    /// Sets how an ioctl has to end. Other steps are not changed.
    pub fn want(&mut self, end: WantEnd) {
        if self.is_ioctl()
            && let Some(ioctl) = self.action.ioctl()
        {
            self.action = Arc::new(ioctl.ending(end));
        }
    }

    /// Makes an ioctl only where the kernel does not know this part of the uAPI. Other steps are
    /// not changed.
    pub fn where_unknown(mut self, part: &Newer) -> Self {
        if self.is_ioctl()
            && let Some(ioctl) = self.action.ioctl()
        {
            self.action = Arc::new(ioctl.where_unknown(part.clone()));
        }
        self
    }

    /// Needs of an ioctl that no name of the kernel stands for this number. Other steps are not
    /// changed.
    pub fn where_unnamed(mut self, unnamed: Unnamed) -> Self {
        if self.is_ioctl()
            && let Some(ioctl) = self.action.ioctl()
        {
            self.action = Arc::new(ioctl.where_unnamed(unnamed));
        }
        self
    }

    /// Whether it makes a default domain an identity domain.
    pub fn uses_identity(&self) -> bool {
        self.action.uses_identity()
    }

    /// Whether it executes steps at once.
    pub fn races(&self) -> bool {
        self.action.races()
    }

    /// Whether devices are in another order on their bus afterwards.
    pub fn reorders_devices(&self) -> bool {
        self.action.reorders_devices()
    }

    /// Whether it is an ioctl.
    pub fn is_ioctl(&self) -> bool {
        self.action.is_ioctl()
    }

    /// The process that begins a call here.
    pub fn begins(&self) -> Option<&str> {
        self.action.begins()
    }

    /// The process whose call is waited for here.
    pub fn finishes(&self) -> Option<&str> {
        self.action.finishes()
    }

    /// Whether it can fail because of the kernel under test.
    pub fn asserts(&self) -> bool {
        self.action.asserts()
    }
}

/// Adds to each check the one under a clause of the plan, which is of the same op: the agent does not
/// know what is expected.
fn add_plan(made: &mut [(Op, Check)], planned: &[(Op, Check)], clause: &str) -> Result<(), String> {
    let same = made.len() == planned.len()
        && made
            .iter()
            .zip(planned)
            .all(|((one, _), (other, _))| one == other);
    if !same {
        return Err("a `plan` that changes what is expected, and not what is done".to_owned());
    }
    for ((_, check), (_, planned)) in made.iter_mut().zip(planned) {
        check.plans.push(Planned {
            clause: clause.to_owned(),
            check: planned.clone(),
        });
    }
    Ok(())
}
