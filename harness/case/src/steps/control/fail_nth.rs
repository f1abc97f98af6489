//! Injects failures into a call, one point of failure later in each execution.

use wire::{ControlOp, FailNth as Plan, Op};

use crate::{
    build::Builder,
    expect::{Check, Injection},
    input::{Errno, body},
    node::At,
    problem::Problem,
    steps::{Action, Step, ioctl::Ioctl},
};

body! {
    /// `fail_nth: {step: {IOMMU_IOAS_ALLOC: {..}}, allowed: [ENOMEM], unchanged: [..], undo: [..]}`
    ///
    /// The expectations of `step` apply to each success in spite of a failure, and to the last
    /// execution, in which no failure is left to inject.
    pub struct FailNth in "fail_nth" if FailNth::check {
        /// The call into which failures are injected.
        step: Box<Step>,
        /// The errnos after a failed allocation.
        allowed: Vec<Errno> = errnos(&["ENOMEM"]),
        /// The errnos after a failed copy from or to the memory of the caller.
        copies: Vec<Errno> = errnos(&["EFAULT"]),
        /// The errnos after a failure in a hook of `CONFIG_IOMMUFD_TEST`, which the callers of
        /// `iommufd_should_fail()` return.
        hooks: Vec<Errno> = errnos(&["ENOENT", "EINVAL", "ENOMEM", "EFAULT"]),
        /// Steps after each failure.
        unchanged: Vec<Step>,
        /// Steps after a failed copy, if they differ.
        after_copy: Option<Vec<Step>>,
        /// Steps after each success in spite of a failure.
        undo: Vec<Step>,
        /// Upper limit of the number of points of failure.
        limit: u32 = 2000,
    }
}

fn errnos(names: &[&str]) -> Vec<Errno> {
    let numbers = names.iter().filter_map(|name| uapi::errno(name));
    numbers.map(Errno).collect()
}

fn numbers(errnos: &[Errno]) -> Vec<i32> {
    errnos.iter().map(|errno| errno.0).collect()
}

impl FailNth {
    fn check(&self, _: At) -> Result<(), Problem> {
        if self.step.is_one_call() {
            return Ok(());
        }
        let text = "failures can only be injected into one call: an ioctl, `mmap`, `read`, \
                    `write`, `pread`, `pwrite`, \
                    `write_file`, or an `open` of one thing";
        Err(Problem::other(self.step.at, text))
    }
}

impl Action for FailNth {
    fn label(&self) -> String {
        format!("{}, with failures injected", self.step.label)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.roles.need_feature(Some("fail_nth"))?;
        to.roles.need_feature(Some("failslab"))?;
        let (failed, failed_checks) = compile_all(&self.unchanged, to)?;
        let after_copy = self.after_copy.as_ref().unwrap_or(&self.unchanged);
        let (failed_copy, failed_copy_checks) = compile_all(after_copy, to)?;
        let (survived, survived_checks) = compile_all(&self.undo, to)?;
        let step = std::slice::from_ref(&*self.step);
        let (mut ops, mut checks) = compile_all(step, to)?;
        let (Some(op), Some(check)) = (ops.pop(), checks.pop()) else {
            return Err(format!("`{}` to be one call", self.step.label));
        };
        let plan = Plan {
            op,
            failed,
            failed_copy,
            survived,
            limit: self.limit,
        };
        let injection = Injection {
            allocations: numbers(&self.allowed),
            copies: numbers(&self.copies),
            hooks: numbers(&self.hooks),
            failed: failed_checks,
            failed_copy: failed_copy_checks,
            survived: survived_checks,
        };
        let check = Check {
            label: self.label(),
            ..check
        };
        to.push_injected(
            ControlOp::FailNth {
                plan: Box::new(plan),
            },
            check,
            injection,
        );
        Ok(())
    }

    fn inner(&self) -> Vec<&Step> {
        let after_copy = self.after_copy.iter().flatten();
        let between = self.unchanged.iter().chain(after_copy).chain(&self.undo);
        std::iter::once(&*self.step).chain(between).collect()
    }

    fn ioctl(&self) -> Option<&Ioctl> {
        self.step.ioctl()
    }

    fn injected(&self) -> Option<i32> {
        match self.allowed.as_slice() {
            [errno] => Some(errno.0),
            _ => None,
        }
    }
}

fn compile_all(steps: &[Step], to: &mut Builder<'_>) -> Result<(Vec<Op>, Vec<Check>), String> {
    let index = to.step();
    let captured = to.capture(|to| steps.iter().try_for_each(|step| step.compile(index, to)))?;
    Ok(captured.into_iter().unzip())
}
