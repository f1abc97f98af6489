//! Calls that race.

use wire::Op;

use crate::{
    build::Builder,
    expect::{Check, Parts, Race},
    input::{Ends, body},
    node::At,
    problem::Problem,
    steps::{Action, Step},
};

body! {
    /// `together: {steps: [..], ends: [[none, EPERM], [EPERM, none]], then: [[..], [..]]}`
    ///
    /// Each step is executed by its own thread, and all begin at once. The case gets a guest with
    /// two processors. The record of a run says in which order the steps took effect: that of
    /// `ends`, or if it has no choice, the step that ended first.
    pub struct Together in "together" if Together::check {
        /// The steps; at least two.
        steps: Vec<Step>,
        /// The allowed combinations of ends. Each has an errno, or `none` for success, for each
        /// step. Without this key, every step has to end as it says.
        ends: Option<Ways>,
        /// For each of `ends`, the steps that follow it. They are the same operations each time,
        /// and only what is expected of them differs.
        then: Vec<Vec<Step>>,
        /// Microseconds by which each step begins later. Without this key all begin together, except
        /// in repeated runs (`run-conformance --repeat`), in each of which another step is delayed.
        delay: Vec<u32>,
    }
}

/// The ways in which the steps may end.
#[derive(Debug, Clone, PartialEq)]
pub struct Ways {
    at: At,
    ways: Vec<Vec<Ends>>,
}

impl crate::input::Input for Ways {
    fn read(node: &crate::node::Node) -> Result<Self, Problem> {
        let (at, ways) = (node.at, Vec::read(node)?);
        Ok(Self { at, ways })
    }

    fn spec() -> crate::spec::Spec {
        Vec::<Vec<Ends>>::spec()
    }
}

impl Together {
    fn check(&self, at: At) -> Result<(), Problem> {
        let steps = self.steps.len();
        let other = |at, text: &str| Err(Problem::other(at, text));
        if steps < 2 {
            return other(at, "`together` needs at least two steps");
        }
        if !self.delay.is_empty() && self.delay.len() != steps {
            let text = format!("{steps} steps need {steps} delays, or none");
            return other(at, &text);
        }
        let Some(Ways { at: place, ways }) = &self.ends else {
            return match self.then.is_empty() {
                true => Ok(()),
                false => other(at, "`then` needs `ends`, which it follows"),
            };
        };
        if ways.is_empty() {
            return other(*place, "`ends` has no combination of ends");
        }
        if !self.then.is_empty() && self.then.len() != ways.len() {
            let (ways, then) = (ways.len(), self.then.len());
            let text = format!("{ways} ends need {ways} lists in `then`, but this has {then}");
            return other(at, &text);
        }
        match ways.iter().find(|way| way.len() != steps) {
            None => Ok(()),
            Some(way) => {
                let has = way.len();
                let text = format!("{steps} steps need {steps} ends, but this has {has}");
                other(*place, &text)
            }
        }
    }

    fn compile_race(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        let (mut ops, mut checks) = (Vec::new(), Vec::new());
        let at = to.place();
        for step in &self.steps {
            let mut made = to.capture(|to| step.compile(index, to))?;
            let (Some((op, check)), true) = (made.pop(), made.is_empty()) else {
                return Err(format!("`{}` to be a single operation", step.label));
            };
            if check.parts != Parts::Whole {
                return Err(format!("`{}` to have no parts of its own", step.label));
            }
            ops.push(op);
            checks.push(check);
        }
        let own = checks.iter().map(|check| check.expect.end.clone());
        let own = own.collect::<Vec<_>>();
        let ways = self.ends.as_ref().map(|Ways { ways, .. }| {
            let way = |way: &Vec<Ends>| way.iter().map(|end| end.0.clone()).collect();
            ways.iter().map(way).collect()
        });
        let ends = ways.unwrap_or_else(|| vec![own]);
        to.begin(index, self.label(), at);
        to.push_together(ops, self.delay.clone(), Race { checks, ends });
        Ok(())
    }

    fn compile_then(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        let mut ways = Vec::new();
        for steps in &self.then {
            let compile = |to: &mut Builder<'_>| {
                let mut steps = steps.iter();
                steps.try_for_each(|step| step.compile(index, to))
            };
            ways.push(to.capture(compile)?);
        }
        for (op, checks) in same_ops(ways)? {
            let label = joined(checks.iter().map(|check| check.label.as_str()));
            let mut checks = checks.into_iter();
            if let Some(first) = checks.next() {
                to.push_by_race(op, label, first, checks.collect());
            }
        }
        Ok(())
    }
}

/// Returns each op with its checks, one for each way.
fn same_ops(ways: Vec<Vec<(Op, Check)>>) -> Result<Vec<(Op, Vec<Check>)>, String> {
    let mut ways = ways.into_iter();
    let first = ways.next().unwrap_or_default();
    let mut all: Vec<_> = first.into_iter().map(|(op, it)| (op, vec![it])).collect();
    for way in ways {
        if way.len() != all.len() {
            return Err("each list of `then` to be the same operations".to_owned());
        }
        for ((op, checks), (other, check)) in all.iter_mut().zip(way) {
            if *op != other || check.parts != Parts::Whole {
                let (one, two) = (
                    joined(checks.iter().map(|it| it.label.as_str())),
                    check.label,
                );
                return Err(format!("`{one}` and `{two}` to be the same operation"));
            }
            checks.push(check);
        }
    }
    Ok(all)
}

/// Joins labels, each once.
fn joined<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    for label in labels {
        if !all.contains(&label) {
            all.push(label);
        }
    }
    all.join("; or ")
}

impl Action for Together {
    fn label(&self) -> String {
        let labels: Vec<_> = self.steps.iter().map(|it| it.label.as_str()).collect();
        labels.join(" | ")
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let index = to.step();
        self.compile_race(index, to)?;
        self.compile_then(index, to)
    }

    fn inner(&self) -> Vec<&Step> {
        self.steps
            .iter()
            .chain(self.then.iter().flatten())
            .collect()
    }

    fn check_labels(&self) -> Vec<String> {
        let of = |steps: &Vec<Step>| steps.iter().flat_map(Step::labels).collect::<Vec<_>>();
        let ways: Vec<_> = self.then.iter().map(of).collect();
        let count = ways.iter().map(Vec::len).max().unwrap_or_default();
        let then = (0..count).map(|at| {
            let labels = ways.iter().filter_map(|way| way.get(at));
            joined(labels.map(String::as_str))
        });
        std::iter::once(self.label()).chain(then).collect()
    }

    fn determined(&self) -> &[Step] {
        match self.ends {
            None => &self.steps,
            Some(_) => &[],
        }
    }

    fn races(&self) -> bool {
        true
    }
}
