//! Steps that have a plan: what is checked depends on the side that the kernel is on, which the
//! program finds out from how such steps end.

use case::{Check, Expect};
use wire::Op;

use crate::{
    call::{Call, looks_at},
    check::ending,
    step::{Block, Writer, outcome},
    text::{self, indented},
};

impl Writer<'_> {
    /// Writes a step whose check depends on the side.
    pub fn sided(&self, op: &Op, check: &Check) -> Result<String, String> {
        let (call, own) = self.call_of(op, check)?;
        let (declaration, seen) = outcome(&call, own);
        let mut block = Block::of(&call);
        block.declare(format!("{};", declaration.as_deref().unwrap_or("long ret")));
        let mut lines = call.statements.clone();
        lines.push(format!("{seen} = {};", call.expression));
        lines.extend(self.found_out(check, &call, seen)?);
        let mut text = String::new();
        for (number, own) in self.alternatives(check) {
            let body = indented(&self.checks(&call, own, seen)?.join("\n"));
            text.push_str(&format!(
                "if (kernel_side() == {number}) {{\n{body}}} else "
            ));
        }
        let body = indented(&self.checks(&call, check, seen)?.join("\n"));
        lines.push(format!("{text}{{\n{body}}}"));
        Ok(block.around(&lines))
    }

    /// Returns the call as the side needs it that looks at more of it, with its check.
    fn call_of<'c>(&self, op: &Op, check: &'c Check) -> Result<(Call, &'c Check), String> {
        let looks = |check: &&Check| looks_at(check) || check.expect.returns.is_some();
        let mut all = std::iter::once(check).chain(check.plans.iter().map(|plan| &plan.check));
        let own = all.find(looks).unwrap_or(check);
        Ok((self.caller.call(op, own)?, own))
    }

    /// The checks under each plan, with the number of its side. Today's has number 0.
    fn alternatives<'c>(&self, check: &'c Check) -> Vec<(usize, &'c Check)> {
        let clauses = self.planned.iter().zip(1..);
        let under = clauses.filter_map(|(clause, number)| Some((number, check.under(clause)?)));
        under.collect()
    }

    /// Returns the statement that finds out the side, if sides end the step in different ways.
    fn found_out(&self, check: &Check, call: &Call, seen: &str) -> Result<Vec<String>, String> {
        let own = |number: usize| {
            let clause = self.planned.get(number)?;
            check.under(clause)
        };
        let ends = (0..self.planned.len()).map(|number| own(number).unwrap_or(check));
        let all: Vec<_> = std::iter::once(check).chain(ends).collect();
        if all.iter().all(|it| it.expect.end == check.expect.end) {
            return Ok(Vec::new());
        }
        let mut bits = Vec::new();
        for (number, check) in all.iter().enumerate() {
            let condition = self.checker.condition(&check.expect.end, call.end, seen)?;
            bits.push(format!("(({condition}) ? 1U << {number} : 0)"));
        }
        Ok(vec![format!("keep_sides({});", bits.join(" |\n\t   "))])
    }

    fn checks(&self, call: &Call, check: &Check, seen: &str) -> Result<Vec<String>, String> {
        let mut lines = vec![self.checker.end(&check.expect.end, call.end, seen)?];
        lines.extend(self.checker.rest(&check.expect, call)?);
        lines.extend(self.kept(call, check));
        Ok(lines)
    }

    /// Returns an expression for how the step ended, in words.
    pub fn ending_of_side(&self, check: &Check) -> Result<String, String> {
        let words = |expect: &Expect| ending(&expect.end).map(|words| text::literal(&words));
        let mut text = String::new();
        for (number, own) in self.alternatives(check) {
            text.push_str(&format!(
                "kernel_side() == {number} ? {} : ",
                words(&own.expect)?
            ));
        }
        Ok(text + &words(&check.expect)?)
    }
}
