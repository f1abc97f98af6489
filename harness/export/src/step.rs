//! Ops as blocks of statements.

use std::{borrow::Cow, collections::BTreeSet};

use case::{Check, Parts, WantEnd};
use wire::{ControlOp, Op, ProcessOp};

use crate::{
    call::{Call, Caller, Data, End, looks_at, variable},
    check::{Checker, ending},
    op::control::{ends_by_race, ways},
    text::{self, indented},
};

/// Writes the steps of a case.
#[derive(Debug)]
pub struct Writer<'a> {
    /// Writes calls.
    pub caller: Caller<'a>,
    /// Writes checks.
    pub checker: Checker<'a>,
    /// Functions that forked processes execute.
    pub functions: String,
    /// Processes that are forked.
    pub processes: BTreeSet<String>,
    /// Results that are printed.
    pub results: usize,
    /// Functions that were written; each has a number in its name.
    pub made: usize,
    /// Clauses of the plan that steps have checks for.
    pub planned: Vec<String>,
    /// Number of a result that is printed later than its step is written.
    reserved: Option<usize>,
}

/// How a step is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// With a result.
    Whole,
    /// Only when it fails.
    Failure,
}

fn told(check: &Check) -> Told {
    if check.shown {
        Told::Whole
    } else {
        Told::Failure
    }
}

impl<'a> Writer<'a> {
    /// Returns a writer without output.
    pub fn new(caller: Caller<'a>, checker: Checker<'a>, planned: Vec<String>) -> Self {
        Self {
            caller,
            checker,
            functions: String::new(),
            processes: BTreeSet::new(),
            results: 0,
            made: 0,
            planned,
            reserved: None,
        }
    }

    /// Writes an op of the plan with its check.
    pub fn op(&mut self, op: &Op, check: &Check) -> Result<String, String> {
        self.told(op, check, told(check))
    }

    pub fn told(&mut self, op: &Op, check: &Check, told: Told) -> Result<String, String> {
        match op {
            Op::Control(ControlOp::In { process, op }) => {
                let name = self.function(process, op, check, told)?;
                Ok(format!("in(&{}, {name});\n", variable(process)))
            }
            // A call that is begun is reported when it has ended: its check comes with `finish`.
            Op::Control(ControlOp::Start { .. }) => Err("`start` without `finish`".to_owned()),
            Op::Control(ControlOp::Finish { process, .. }) => {
                self.results += usize::from(told == Told::Whole);
                Ok(format!("finish_in(&{});\n", variable(process)))
            }
            _ => self.here(op, check, told),
        }
    }

    /// Writes a `start`. Its check is that of the op that waits for it, and `between` results are
    /// printed before its own.
    pub fn start(
        &mut self,
        process: &str,
        op: &Op,
        finish: &Check,
        before: usize,
    ) -> Result<String, String> {
        self.reserved = Some(self.results + before + 1);
        let name = self.function(process, op, finish, told(finish))?;
        Ok(format!("begin_in(&{}, {name});\n", variable(process)))
    }

    fn function(
        &mut self,
        process: &str,
        op: &Op,
        check: &Check,
        told: Told,
    ) -> Result<String, String> {
        if check.planned().next().is_some() {
            return Err("a plan for a step of another process".to_owned());
        }
        let body = self.told(op, check, told)?;
        self.made += 1;
        let name = format!("in_{process}_{}", self.made);
        let function = format!("static void {name}(void)\n{{\n{}}}\n\n", indented(&body));
        self.functions.push_str(&function);
        Ok(name)
    }

    /// Writes an op that this process executes.
    fn here(&mut self, op: &Op, check: &Check, told: Told) -> Result<String, String> {
        if let Op::Process(ProcessOp::Fork { process }) = op {
            self.processes.insert(process.clone());
        }
        let check = as_today(op, check);
        let check = check.as_ref();
        let number = match self.reserved.take() {
            Some(number) => number,
            None => {
                self.results += usize::from(told == Told::Whole);
                // A step that only prepares has the number of the next result.
                self.results + usize::from(told == Told::Failure)
            }
        };
        let head = format!("step({number}, {});\n", text::literal(&check.label));
        let body = match self.control(op, check, number)? {
            Some(body) => body,
            None => self.plain(op, check)?,
        };
        let ending = match &check.parts {
            Parts::Together(race) => ways(race)?,
            Parts::ByRace(checks) => ends_by_race(checks)?,
            _ => ending(&check.expect.end)?,
        };
        let tail = match told {
            Told::Whole if check.plans.is_empty() => {
                format!("pass({});\n", text::literal(&ending))
            }
            Told::Whole => format!("pass({});\n", self.ending_of_side(check)?),
            Told::Failure => String::new(),
        };
        Ok(format!("{head}{body}{tail}"))
    }

    pub fn plain(&self, op: &Op, check: &Check) -> Result<String, String> {
        if !check.plans.is_empty() {
            return self.sided(op, check);
        }
        let call = self.caller.call(op, check)?;
        if let Some(direct) = self.direct(&call, check)? {
            return Ok(direct);
        }
        let (declaration, seen) = outcome(&call, check);
        let mut block = Block::of(&call);
        let mut lines = call.statements.clone();
        match declaration {
            Some(declaration) => {
                // Initialize the variable directly if no statement has to come before.
                if lines.is_empty() {
                    block.declare(format!("{declaration} = {};", call.expression));
                } else {
                    block.declare(format!("{declaration};"));
                    lines.push(format!("{seen} = {};", call.expression));
                }
                lines.push(self.checker.end(&check.expect.end, call.end, seen)?);
            }
            None => lines.push(
                self.checker
                    .end(&check.expect.end, call.end, &call.expression)?,
            ),
        }
        lines.extend(self.checker.rest(&check.expect, &call)?);
        lines.extend(self.kept(&call, check));
        Ok(block.around(&lines))
    }

    /// Writes a call that only has a return value, and so needs no block around it.
    fn direct(&self, call: &Call, check: &Check) -> Result<Option<String>, String> {
        let simple = call.declarations.is_empty()
            && call.statements.is_empty()
            && check.expect.returns.is_none()
            && !looks_at(check)
            && matches!(call.data, Data::Nothing)
            && call.end != End::Dma;
        if !simple {
            return Ok(None);
        }
        let variables = self.caller.words.variables;
        let slot = call
            .returns_slot
            .as_deref()
            .and_then(|slot| variables.name(slot));
        let line = match (&check.expect.end, slot) {
            (WantEnd::Success, Some(name)) => {
                let check = self.checker.end(&WantEnd::Success, call.end, &name)?;
                format!("{name} = {};\n{check}\n", call.expression)
            }
            (end, _) => format!("{}\n", self.checker.end(end, call.end, &call.expression)?),
        };
        Ok(Some(line))
    }

    /// Returns the statements that save values for later steps.
    pub fn kept(&self, call: &Call, check: &Check) -> Vec<String> {
        if check.expect.end != WantEnd::Success {
            return Vec::new();
        }
        let mut lines = Vec::new();
        let variables = self.caller.words.variables;
        if let Some(name) = call
            .returns_slot
            .as_deref()
            .and_then(|slot| variables.name(slot))
        {
            lines.push(format!("{name} = ret;"));
        }
        if let Data::Struct {
            fetch: Some(fetch), ..
        } = &call.data
            && !call.saves.is_empty()
            && check.expect.fields.is_empty()
        {
            lines.push(fetch.clone());
        }
        lines.extend(call.saves.iter().cloned());
        lines
    }
}

/// Returns the variable that an outcome has to be kept in, if any.
pub fn outcome(call: &Call, check: &Check) -> (Option<String>, &'static str) {
    if call.end == End::Dma {
        return (Some("struct dma seen".to_owned()), "seen");
    }
    let uses_ret = (check.expect.returns.is_some() && call.returned.is_none())
        || call.returns_slot.is_some()
        || matches!(&call.data, Data::Bytes { length, .. }
            if length == "ret" && (looks_at(check) || !call.saves.is_empty()));
    (uses_ret.then(|| "long ret".to_owned()), "ret")
}

/// Statements with their own variables.
#[derive(Debug, Default)]
pub struct Block {
    declarations: Vec<String>,
}

impl Block {
    pub fn of(call: &Call) -> Self {
        Self {
            declarations: call.declarations.clone(),
        }
    }

    pub fn declare(&mut self, declaration: String) {
        self.declarations.push(declaration);
    }

    pub fn around(&self, lines: &[String]) -> String {
        let mut body = String::new();
        for declaration in &self.declarations {
            body.push_str(declaration);
            body.push('\n');
        }
        if !self.declarations.is_empty() {
            body.push('\n');
        }
        for line in lines {
            body.push_str(line);
            body.push('\n');
        }
        format!("{{\n{}}}\n", indented(&body))
    }
}
/// A program does not find out the side of the kernel from a race or from what follows one: there it
/// checks what Linux does today.
fn as_today<'c>(op: &Op, check: &'c Check) -> Cow<'c, Check> {
    let races = matches!(op, Op::Control(_)) || matches!(check.parts, Parts::ByRace(_));
    if !races || check.plans.is_empty() {
        return Cow::Borrowed(check);
    }
    Cow::Owned(Check {
        plans: Vec::new(),
        ..check.clone()
    })
}
