//! Steps that another process executes.

use std::collections::BTreeMap;

use crate::{
    build::Builder,
    input::{Input, OfProcess, SlotName, newtype},
    node::Node,
    problem::Problem,
    spec::Spec,
    steps::{Action, Step},
};

newtype! {
    /// `in: {child: [steps]}`
    ///
    /// Every process can use the names that the steps save. A descriptor or an address is only
    /// valid in the process that created it and in those it forks later.
    pub struct In(OfProcess<Vec<Step>>);
}

impl Action for In {
    fn label(&self) -> String {
        format!("in {}", self.0.process)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.enter(&self.0.process);
        for step in &self.0.of {
            step.compile(to.step(), to)?;
        }
        to.leave();
        Ok(())
    }

    fn check_labels(&self) -> Vec<String> {
        let within = self.0.of.iter().flat_map(Step::labels);
        let of = |label| format!("in {}: {label}", self.0.process);
        within.map(of).collect()
    }

    fn inner(&self) -> Vec<&Step> {
        self.0.of.iter().collect()
    }

    fn determined(&self) -> &[Step] {
        &self.0.of
    }

    fn asserts(&self) -> bool {
        self.0.of.iter().any(Step::asserts)
    }
}

/// `start: {child: step}`
///
/// The process begins a call that may block. `finish: child` waits for it and then checks what the
/// step expects.
#[derive(Debug, Clone)]
pub struct Start(OfProcess<Box<Step>>);

impl Input for Start {
    fn read(node: &Node) -> Result<Self, Problem> {
        let of = OfProcess::<Vec<Step>>::read(node)?;
        let text = "`start` needs one system call";
        let wrong = || Problem::other(node.at, text);
        let [step] = <[Step; 1]>::try_from(of.of).map_err(|_| wrong())?;
        if !step.may_begin() {
            return Err(wrong());
        }
        Ok(Self(OfProcess {
            process: of.process,
            of: Box::new(step),
        }))
    }

    fn spec() -> Spec {
        OfProcess::<Vec<Step>>::spec()
    }

    fn doc() -> &'static str {
        "`start: {child: step}`\n\
         \n\
         The process begins a call that may take its time; `finish: child` waits for it, and what\n\
         the step expects is looked at then."
    }
}

impl Action for Start {
    fn label(&self) -> String {
        format!("start in {}", self.0.process)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let process = &self.0.process;
        to.start_op(process, |to| {
            to.enter(process);
            self.0.of.compile(to.step(), to)?;
            to.leave();
            Ok(())
        })
    }

    fn inner(&self) -> Vec<&Step> {
        vec![&self.0.of]
    }

    fn check_labels(&self) -> Vec<String> {
        let label = &self.0.of.label;
        vec![format!("in {}: {label}", self.0.process)]
    }

    fn begins(&self) -> Option<&str> {
        Some(&self.0.process)
    }

    fn asserts(&self) -> bool {
        false
    }
}

newtype! {
    /// `finish: child`
    pub struct Finish(SlotName);
}

impl Action for Finish {
    fn label(&self) -> String {
        format!("finish of {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.finish_op(&self.0.0)
    }

    fn finishes(&self) -> Option<&str> {
        Some(&self.0.0)
    }
}

/// Checks that a step waits for each call that a process begins, before the process begins another
/// one.
pub fn check_calls(steps: &[Step]) -> Result<(), Problem> {
    let mut begun = BTreeMap::new();
    for step in steps {
        let earlier = match (step.begins(), step.finishes()) {
            (Some(process), _) => begun.insert(process, step.at).map(|_| {
                "has not finished its \
                earlier call"
            }),
            (_, Some(process)) => begun
                .remove(process)
                .is_none()
                .then_some("has not begun a call"),
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
