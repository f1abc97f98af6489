//! `fail_nth`: a step that runs out of memory, again and again, one allocation later each time.

use wire::{FailNth as Plan, Op};

use crate::{
    build::Builder,
    expect::{Check, Injection},
    fields::Fields,
    node::Node,
    problem::Problem,
    steps::Step,
    value,
};

/// `fail_nth: {step: {IOMMU_IOAS_ALLOC: {..}}, allowed: [ENOMEM], unchanged: [..], undo: [..]}`
///
/// `allowed` are the errnos after a failed allocation, `copies` those after a failed copy from
/// or to the memory of the caller, `hooks` those of the hooks of `CONFIG_IOMMUFD_TEST`.
/// `unchanged` are steps after each failure (`after_copy` those after a failed copy, where they
/// are others), `undo` those after each success in spite of one.
/// What `step` expects holds for those successes and for the last execution, which has no
/// failure left to inject.
#[derive(Debug, Clone, PartialEq)]
pub struct FailNth {
    step: Step,
    allocations: Vec<i32>,
    copies: Vec<i32>,
    hooks: Vec<i32>,
    unchanged: Vec<Step>,
    after_copy: Option<Vec<Step>>,
    undo: Vec<Step>,
    limit: u32,
}

/// When an allocation fails.
const ALLOCATIONS: [&str; 1] = ["ENOMEM"];
/// When a copy from or to the memory of the caller fails.
const COPIES: [&str; 1] = ["EFAULT"];
/// What the callers of `iommufd_should_fail()` make of it.
const HOOKS: [&str; 4] = ["ENOENT", "EINVAL", "ENOMEM", "EFAULT"];
/// More points of failure than any call has that a case should make.
const LIMIT: u64 = 2000;

impl FailNth {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "fail_nth")?;
        let node = fields.need("step")?;
        let step = Step::read(node)?;
        if !step.is_one_call() {
            let text = "failures are injected into one call: an ioctl, `mmap`, `read`, `write`, \
                        `write_file`, or an `open` of one thing";
            return Err(Problem::other(node.at, text));
        }
        let allocations = read_errnos(fields.take("allowed"), &ALLOCATIONS);
        let copies = read_errnos(fields.take("copies"), &COPIES);
        let hooks = read_errnos(fields.take("hooks"), &HOOKS);
        let unchanged = read_steps(fields.take("unchanged"));
        let after_copy = fields.take("after_copy");
        let after_copy = after_copy.map(|node| read_steps(Some(node))).transpose();
        let undo = read_steps(fields.take("undo"));
        let limit = fields.number("limit")?.unwrap_or(LIMIT);
        fields.finish()?;
        Ok(Self {
            step,
            allocations: allocations?,
            copies: copies?,
            hooks: hooks?,
            unchanged: unchanged?,
            after_copy: after_copy?,
            undo: undo?,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        })
    }

    /// The call into which failures are injected.
    #[must_use]
    pub fn step(&self) -> &Step {
        &self.step
    }

    /// It and the steps between its executions.
    #[must_use]
    pub fn all_steps(&self) -> Vec<&Step> {
        let after_copy = self.after_copy.iter().flatten();
        let between = self.unchanged.iter().chain(after_copy).chain(&self.undo);
        std::iter::once(&self.step).chain(between).collect()
    }

    /// The errno of every failed allocation, where only one is allowed.
    #[must_use]
    pub fn single_errno(&self) -> Option<i32> {
        match self.allocations.as_slice() {
            [errno] => Some(*errno),
            _ => None,
        }
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}, with failures injected", self.step.label)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        to.cast.need_feature(Some("fail_nth"))?;
        to.cast.need_feature(Some("failslab"))?;
        let (failed, failed_checks) = compile_all(&self.unchanged, index, to)?;
        let after_copy = self.after_copy.as_ref().unwrap_or(&self.unchanged);
        let (failed_copy, failed_copy_checks) = compile_all(after_copy, index, to)?;
        let (survived, survived_checks) = compile_all(&self.undo, index, to)?;
        let step = std::slice::from_ref(&self.step);
        let (mut ops, mut checks) = compile_all(step, index, to)?;
        let (Some(op), Some(check)) = (ops.pop(), checks.pop()) else {
            return Err(format!("{} to be one call", self.step.label));
        };
        let plan = Plan {
            op,
            failed,
            failed_copy,
            survived,
            limit: self.limit,
        };
        let injection = Injection {
            allocations: self.allocations.clone(),
            copies: self.copies.clone(),
            hooks: self.hooks.clone(),
            failed: failed_checks,
            failed_copy: failed_copy_checks,
            survived: survived_checks,
        };
        let check = Check {
            label: self.label(),
            ..check
        };
        to.push_injected(Op::FailNth(Box::new(plan)), check, injection);
        Ok(())
    }
}

fn read_errnos(node: Option<&Node>, default: &[&str]) -> Result<Vec<i32>, Problem> {
    match node {
        Some(node) => node.items().iter().map(value::errno).collect(),
        None => Ok(default
            .iter()
            .filter_map(|name| uapi::errno(name))
            .collect()),
    }
}

fn read_steps(node: Option<&Node>) -> Result<Vec<Step>, Problem> {
    let items = node.map_or(&[][..], Node::items);
    items.iter().map(Step::read).collect()
}

fn compile_all(
    steps: &[Step],
    index: usize,
    to: &mut Builder<'_>,
) -> Result<(Vec<Op>, Vec<Check>), String> {
    let captured = to.capture(|to| steps.iter().try_for_each(|step| step.compile(index, to)))?;
    Ok(captured.into_iter().unzip())
}
