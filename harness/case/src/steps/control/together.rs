//! Calls that race.

use crate::{
    build::Builder,
    expect::{Parts, Race},
    input::{Ends, body},
    node::At,
    problem::Problem,
    steps::{Action, Step},
};

body! {
    /// `together: {steps: [..], ends: [[none, EPERM], [EPERM, none]]}`
    ///
    /// Each step is executed by its own thread, and all begin at once.
    pub struct Together in "together" if Together::check {
        /// The steps; at least two.
        steps: Vec<Step>,
        /// The allowed combinations of ends. Each has an errno, or `none` for success, for each
        /// step. Without this key, every step has to end as it says.
        ends: Option<Ways>,
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
        if steps < 2 {
            let text = "`together` needs at least two steps";
            return Err(Problem::other(at, text));
        }
        let Some(Ways { at, ways }) = &self.ends else {
            return Ok(());
        };
        if ways.is_empty() {
            let text = "`ends` has no combination of ends";
            return Err(Problem::other(*at, text));
        }
        match ways.iter().find(|way| way.len() != steps) {
            None => Ok(()),
            Some(way) => {
                let text = format!(
                    "{steps} steps need {steps} ends, but this has {}",
                    way.len()
                );
                Err(Problem::other(*at, text))
            }
        }
    }
}

impl Action for Together {
    fn label(&self) -> String {
        let labels: Vec<_> = self.steps.iter().map(|it| it.label.as_str()).collect();
        labels.join(" | ")
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let (index, at) = (to.step(), to.place());
        let (mut ops, mut checks) = (Vec::new(), Vec::new());
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
        let own = || {
            checks
                .iter()
                .map(|check| check.expect.end.clone())
                .collect()
        };
        let ways = self.ends.as_ref().map(|Ways { ways, .. }| {
            let way = |way: &Vec<Ends>| way.iter().map(|end| end.0.clone()).collect();
            ways.iter().map(way).collect()
        });
        let ends = ways.unwrap_or_else(|| vec![own()]);
        to.begin(index, self.label(), at, None);
        to.push_together(ops, Race { checks, ends });
        Ok(())
    }

    fn inner(&self) -> Vec<&Step> {
        self.steps.iter().collect()
    }

    fn determined(&self) -> &[Step] {
        match self.ends {
            None => &self.steps,
            Some(_) => &[],
        }
    }
}
