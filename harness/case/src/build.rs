//! Builds a plan and its checks, step by step.

use std::{collections::BTreeMap, mem};

use wire::{ControlOp, Counter, FileOp, Location, Op, Plan};

use crate::{
    At,
    expect::{Check, Expect, Injection, Layout, Parts, Race},
    plan_rules::About,
    role::{RoleBindings, Which},
    sysfs_ops,
};

/// A plan, and the check of each of its ops in the same order.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// For the agent.
    pub plan: Plan,
    /// For the judge.
    pub checks: Vec<Check>,
}

impl Compiled {
    /// Returns each clause whose plan a check has an expectation for, once, in the order of the
    /// case.
    pub fn planned(&self) -> Vec<&str> {
        let mut clauses = Vec::new();
        for clause in self.checks.iter().flat_map(Check::planned) {
            if !clauses.contains(&clause) {
                clauses.push(clause);
            }
        }
        clauses
    }
}

/// Collects ops and checks.
pub struct Builder<'a> {
    /// The case's roles.
    pub roles: &'a RoleBindings<'a>,
    ops: Vec<Op>,
    checks: Vec<Check>,
    touched_devices: Vec<String>,
    touched_groups: Vec<Which>,
    touched_resets: Vec<String>,
    created_functions: Vec<String>,
    restore_ops: Vec<Op>,
    touched_files: Vec<Op>,
    step: usize,
    label: String,
    at: At,
    /// Decides whose plans the steps are judged by.
    about: About,
    /// Processes that execute the pushed ops, the innermost last.
    processes: Vec<String>,
    /// What each process was told to begin, until a step waits for it.
    started: BTreeMap<String, Begun>,
    /// How many times each pushed op is executed, and the name of the counter.
    repeat: Option<(u64, String)>,
}

/// What a process was told to begin.
#[derive(Debug)]
enum Begun {
    /// A call, and the check of its end.
    Call(Op, Box<Check>),
    /// Nothing: only the plan has the call, and the guest's kernel does not.
    LeftOut,
}

impl<'a> Builder<'a> {
    /// Returns a builder without steps.
    pub fn new(roles: &'a RoleBindings<'a>) -> Self {
        Self {
            roles,
            ops: Vec::new(),
            checks: Vec::new(),
            touched_devices: Vec::new(),
            touched_groups: Vec::new(),
            touched_resets: Vec::new(),
            created_functions: Vec::new(),
            restore_ops: Vec::new(),
            touched_files: Vec::new(),
            step: 0,
            label: String::new(),
            at: At::default(),
            about: About::default(),
            processes: Vec::new(),
            started: BTreeMap::new(),
            repeat: None,
        }
    }

    /// Each op pushed until [`Self::once`] is executed this many times in a row.
    pub fn repeatedly(&mut self, times: u64, counter: &str) {
        self.repeat = Some((times, counter.to_owned()));
    }

    /// Each op pushed from now on is executed once.
    pub fn once(&mut self) {
        self.repeat = None;
    }

    /// Everything pushed from now on is executed by this process.
    pub fn enter(&mut self, process: &str) {
        self.processes.push(process.to_owned());
    }

    /// Ends the effect of the last [`Self::enter`].
    pub fn leave(&mut self) {
        self.processes.pop();
    }

    /// Everything pushed from now on belongs to this step.
    pub fn begin(&mut self, step: usize, label: String, at: At) {
        self.step = step;
        self.label = match self.processes.last() {
            Some(process) => format!("in {process}: {label}"),
            None => label,
        };
        self.at = at;
    }

    /// Returns a builder for a case that is about this.
    pub fn of(self, about: About) -> Self {
        Self { about, ..self }
    }

    /// What the case is about.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// Adds the one call that `work` adds in a process, so that it only begins.
    /// [`Self::finish_op`] adds its check.
    ///
    /// Nothing is begun, and nothing waited for, if `work` leaves the call out, because only the plan
    /// has it and the kernel's headers do not.
    pub fn start_op(
        &mut self,
        process: &str,
        work: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut made = self.capture(work)?.into_iter();
        let begun = match (made.next(), made.next()) {
            (None, _) => Begun::LeftOut,
            (Some((Op::Control(ControlOp::In { op, .. }), check)), None) => {
                let started = (*op).clone();
                let process = process.to_owned();
                self.prepare(ControlOp::Start { process, op });
                Begun::Call(started, Box::new(check))
            }
            _ => return Err(format!("a call that {process} can begin")),
        };
        self.started.insert(process.to_owned(), begun);
        Ok(())
    }

    /// Whether a process was told to begin a call that was left out, so that it waits for nothing.
    pub fn has_nothing_begun(&self, process: &str) -> bool {
        matches!(self.started.get(process), Some(Begun::LeftOut))
    }

    /// Returns the index of the current step.
    pub const fn step(&self) -> usize {
        self.step
    }

    /// Returns the location of the current step.
    pub const fn place(&self) -> At {
        self.at
    }

    /// Waits for the call that a process was told to begin.
    ///
    /// # Errors
    /// If the process was not told to begin a call.
    pub fn finish_op(&mut self, process: &str) -> Result<(), String> {
        let started = self.started.remove(process);
        let (op, check) = match started {
            None => return Err(format!("something that {process} has begun")),
            Some(Begun::LeftOut) => return Ok(()),
            Some(Begun::Call(op, check)) => (op, *check),
        };
        let finish = ControlOp::Finish {
            process: process.to_owned(),
            op: Box::new(op),
        };
        self.ops.push(finish.into());
        self.checks.push(Check {
            step: self.step,
            at: self.at,
            ..check
        });
        Ok(())
    }

    /// Adds captured ops, each with its check on a kernel as it is today.
    pub fn extend(&mut self, made: Vec<(Op, Check)>) {
        let (ops, checks): (Vec<_>, Vec<_>) = made.into_iter().unzip();
        self.ops.extend(ops);
        self.checks.extend(checks);
    }

    /// Adds an op whose outcome is shown in the snapshot.
    pub fn push(&mut self, op: impl Into<Op>, expect: Expect, layout: Layout) {
        self.add(op.into(), expect, layout, true);
    }

    /// Adds an op that only older kernels get. It has to end as expected, and is not shown in the
    /// snapshot: otherwise each release would need one of its own.
    pub fn push_for_older(&mut self, op: impl Into<Op>, expect: Expect, layout: Layout) {
        self.add(op.into(), expect, layout, false);
    }

    /// Adds an op that succeeds only if DMA lands.
    pub fn push_dma(&mut self, op: impl Into<Op>, expect: Expect, layout: Layout) {
        self.push(op, expect, layout);
        if let Some(check) = self.checks.last_mut() {
            check.needs_dma = true;
        }
    }

    /// Adds an op that only prepares: it has to succeed and is not shown in the snapshot.
    pub fn prepare(&mut self, op: impl Into<Op>) {
        self.add(op.into(), Expect::SUCCESS, Layout::Nothing, false);
    }

    /// Returns the ops that `work` adds, without adding them to the plan.
    pub fn capture(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), String>,
    ) -> Result<Vec<(Op, Check)>, String> {
        let (ops, checks) = (mem::take(&mut self.ops), mem::take(&mut self.checks));
        let done = work(self);
        let ops = mem::replace(&mut self.ops, ops);
        let checks = mem::replace(&mut self.checks, checks);
        done.map(|()| ops.into_iter().zip(checks).collect())
    }

    /// Adds an op with injected failures, and the check of the plain op.
    pub fn push_injected(&mut self, op: ControlOp, check: Check, injection: Injection) {
        self.ops.push(op.into());
        self.checks.push(Check {
            parts: Parts::Injected(injection),
            ..check
        });
    }

    /// Adds ops that are executed at once.
    pub fn push_together(&mut self, ops: Vec<Op>, delays: Vec<u32>, race: Race) {
        self.push(
            ControlOp::Together { ops, delays },
            Expect::SUCCESS,
            Layout::Nothing,
        );
        if let Some(check) = self.checks.last_mut() {
            check.parts = Parts::Together(race);
        }
    }

    /// Adds an op that was captured, and its check after each way in which the last race may end.
    pub fn push_by_race(&mut self, op: Op, label: String, first: Check, others: Vec<Check>) {
        let checks: Vec<_> = std::iter::once(first.clone()).chain(others).collect();
        self.ops.push(op);
        self.checks.push(Check {
            label,
            needs_dma: checks.iter().any(|check| check.needs_dma),
            plans: Vec::new(),
            parts: Parts::ByRace(checks),
            ..first
        });
    }

    fn add(&mut self, op: Op, expect: Expect, layout: Layout, shown: bool) {
        let op = match &self.repeat {
            Some((times, counter)) => ControlOp::Repeat {
                times: *times,
                counter: Counter(counter.clone()),
                op: Box::new(op),
            }
            .into(),
            None => op,
        };
        let within = self.processes.iter().rev();
        self.ops.push(within.fold(op, |op, process| {
            let (process, op) = (process.clone(), Box::new(op));
            ControlOp::In { process, op }.into()
        }));
        self.checks.push(Check {
            step: self.step,
            label: self.label.clone(),
            at: self.at,
            expect,
            plans: Vec::new(),
            layout,
            needs_dma: false,
            shown,
            parts: Parts::Whole,
        });
    }

    /// Marks that the driver of this device changes. The default driver is restored after the case.
    pub fn touch_device(&mut self, name: &str) {
        self.touched_devices.push(name.to_owned());
    }

    /// Marks that the default domain of this group changes. It is restored after the case.
    pub fn touch_group(&mut self, which: Which) {
        self.touched_groups.push(which);
    }

    /// Marks that the reset methods of this device change. They are restored after the case.
    pub fn touch_reset_method(&mut self, name: &str) {
        self.touched_resets.push(name.to_owned());
    }

    /// Marks that this device gets virtual functions. They are removed after the case.
    pub fn create_functions(&mut self, name: &str) {
        if !self.created_functions.iter().any(|known| known == name) {
            self.created_functions.push(name.to_owned());
        }
    }

    /// Adds ops that undo what the case does. They must be harmless if the case did not get that
    /// far. Equal ops are added only once.
    pub fn restore_by(&mut self, ops: Vec<Op>) {
        if !self.restore_ops.windows(ops.len()).any(|had| had == ops) {
            self.restore_ops.extend(ops);
        }
    }

    /// Marks that this file changes. This text is written to it after the case.
    pub fn touch_file(&mut self, at: Location, text: &str) {
        let text = text.to_owned();
        self.touched_files
            .push(FileOp::WriteFile { at, text }.into());
    }

    /// Returns the finished plan.
    pub fn finish(self, name: String, timeout_ms: u64) -> Result<Compiled, String> {
        let restore = self.restore()?;
        let plan = Plan {
            name,
            ops: self.ops,
            restore,
            timeout_ms,
        };
        Ok(Compiled {
            plan,
            checks: self.checks,
        })
    }

    /// Returns the ops that restore the guest. A default domain can only be changed while no device
    /// of the group is bound to a driver.
    fn restore(&self) -> Result<Vec<Op>, String> {
        let mut ops = self.restore_ops.clone();
        for name in &self.created_functions {
            ops.push(sysfs_ops::set_functions(name, 0));
            ops.push(sysfs_ops::allow_functions(false));
        }
        for which in &self.touched_groups {
            ops.extend(sysfs_ops::change_domain(self.roles, *which, None)?);
        }
        for name in &self.touched_devices {
            let driver = self.roles.default_driver_of(name);
            ops.push(sysfs_ops::set_driver(name, driver));
        }
        for name in &self.touched_resets {
            let methods = self.roles.default_resets_of(name);
            ops.push(sysfs_ops::set_resets(name, methods));
        }
        ops.extend(self.touched_files.iter().cloned());
        Ok(ops)
    }
}
