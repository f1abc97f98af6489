//! `together`: calls that race.

use crate::{
    build::Builder,
    expect::{Parts, Race, WantEnd},
    fields::Fields,
    node::Node,
    problem::Problem,
    steps::step::{Step, read_end},
};

/// `together: {steps: [..], ends: [[none, EPERM], [EPERM, none]]}`
///
/// Each step is made by a thread of its own, and all begin at once. `ends` lists the ways in
/// which they may end: in each an errno, or `none` for success, for each step. Without it
/// every step ends as it says itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Together {
    steps: Vec<Step>,
    ends: Option<Vec<Vec<WantEnd>>>,
}

impl Together {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "together")?;
        let node = fields.need("steps")?;
        let steps: Result<Vec<_>, _> = node.items().iter().map(Step::read).collect();
        let steps = steps?;
        if steps.len() < 2 {
            let text = "at least two steps are needed to be made at once";
            return Err(Problem::other(node.at, text));
        }
        let ends = fields.take("ends").map(|node| read_ends(node, &steps));
        let ends = ends.transpose()?;
        fields.finish()?;
        Ok(Self { steps, ends })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let labels: Vec<_> = self.steps.iter().map(|it| it.label.as_str()).collect();
        labels.join(" | ")
    }

    /// The steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps, where each of them says how it ends.
    #[must_use]
    pub fn determined(&self) -> &[Step] {
        match self.ends {
            None => &self.steps,
            Some(_) => &[],
        }
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet, or when a step is more than one op.
    pub fn compile(&self, index: usize, to: &mut Builder<'_>) -> Result<(), String> {
        let at = to.place();
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
        let ends = self.ends.clone().unwrap_or_else(|| vec![own()]);
        to.begin(index, self.label(), at, None);
        to.push_together(ops, Race { checks, ends });
        Ok(())
    }
}

fn read_ends(node: &Node, steps: &[Step]) -> Result<Vec<Vec<WantEnd>>, Problem> {
    let ways: Result<Vec<_>, _> = node
        .items()
        .iter()
        .map(|way| read_way(way, steps))
        .collect();
    match ways? {
        ways if ways.is_empty() => {
            let text = "there is no way to end in this list";
            Err(Problem::other(node.at, text))
        }
        ways => Ok(ways),
    }
}

fn read_way(node: &Node, steps: &[Step]) -> Result<Vec<WantEnd>, Problem> {
    let ends: Result<Vec<_>, _> = node.items().iter().map(read_end).collect();
    let ends = ends?;
    if ends.len() != steps.len() {
        let text = format!(
            "{} steps need {0} ends, here are {}",
            steps.len(),
            ends.len()
        );
        return Err(Problem::other(node.at, text));
    }
    Ok(ends)
}
