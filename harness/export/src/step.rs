//! Ops as blocks of statements.

use std::collections::BTreeSet;

use case::{Check, Injection, Parts, Race, WantEnd};
use wire::{ControlOp, FailNth, FileOp, Op, ProcessOp};

use crate::{
    call::{Call, Caller, Data, End, looks_at, variable},
    check::{Checker, ending, errno_name},
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
    made: usize,
    /// Number of a result that is printed later than its step is written.
    reserved: Option<usize>,
}

/// How a step is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
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
    pub fn new(caller: Caller<'a>, checker: Checker<'a>) -> Self {
        Self {
            caller,
            checker,
            functions: String::new(),
            processes: BTreeSet::new(),
            results: 0,
            made: 0,
            reserved: None,
        }
    }

    /// Writes an op of the plan with its check.
    pub fn op(&mut self, op: &Op, check: &Check) -> Result<String, String> {
        self.told(op, check, told(check))
    }

    fn told(&mut self, op: &Op, check: &Check, told: Told) -> Result<String, String> {
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
        let number = match self.reserved.take() {
            Some(number) => number,
            None => {
                self.results += usize::from(told == Told::Whole);
                // A step that only prepares has the number of the next result.
                self.results + usize::from(told == Told::Failure)
            }
        };
        let head = format!("step({number}, {});\n", text::literal(&check.label));
        let body = match op {
            Op::Control(ControlOp::Repeat { times, counter, op }) => {
                self.repeated(*times, &counter.0, op, check)?
            }
            Op::Control(ControlOp::FailNth { plan }) => {
                let Parts::Injected(injection) = &check.parts else {
                    return Err("injected failures without a check".to_owned());
                };
                self.injected(plan, injection, check, number)?
            }
            Op::Control(ControlOp::Together { ops }) => {
                let Parts::Together(race) = &check.parts else {
                    return Err("a race without a check".to_owned());
                };
                self.together(ops, race)?
            }
            op => self.plain(op, check)?,
        };
        let ending = match &check.parts {
            Parts::Together(race) => ways(race)?,
            _ => ending(&check.expect.end)?,
        };
        let tail = match told {
            Told::Whole => format!("pass({});\n", text::literal(&ending)),
            Told::Failure => String::new(),
        };
        Ok(format!("{head}{body}{tail}"))
    }

    fn plain(&self, op: &Op, check: &Check) -> Result<String, String> {
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
                lines.extend(self.verdict(&call, check, seen)?);
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
            && check.plan.is_none()
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

    /// Returns the checks of an outcome in a variable.
    fn verdict(&self, call: &Call, check: &Check, seen: &str) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        if let Some(plan) = check
            .plan
            .as_ref()
            .filter(|plan| **plan != check.expect.end)
        {
            lines.push(self.checker.planned(plan, call.end, seen)?);
        }
        lines.push(self.checker.end(&check.expect.end, call.end, seen)?);
        Ok(lines)
    }

    /// Returns the statements that save values for later steps.
    fn kept(&self, call: &Call, check: &Check) -> Vec<String> {
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

    /// Writes a call that is made many times; the last outcome counts.
    fn repeated(
        &self,
        times: u64,
        counter: &str,
        op: &Op,
        check: &Check,
    ) -> Result<String, String> {
        let call = self.caller.call(op, check)?;
        if call.end == End::Dma {
            return Err("`repeat` of DMA".to_owned());
        }
        let variables = self.caller.words.variables;
        let turn = variables
            .name(counter)
            .unwrap_or_else(|| variables.fresh("turn"));
        let mut block = Block::of(&call);
        block.declare("long ret;".to_owned());
        let mut lines = call.statements.clone();
        let failed = if call.end == End::Errno {
            "ret == -1"
        } else {
            "ret"
        };
        lines.push(format!("ret = {};", call.expression));
        let keep = self.kept(&call, check);
        let again = format!("{turn} + 1 < {times}");
        if keep.is_empty() {
            lines.push(format!("if (!({failed}) && {again})\n\tcontinue;"));
        } else {
            let keep = indented(&keep.join("\n"));
            lines.push(format!(
                "if (!({failed})) {{\n{keep}\tif ({again})\n\t\tcontinue;\n}}"
            ));
        }
        lines.extend(self.verdict(&call, check, "ret")?);
        lines.extend(self.checker.rest(&check.expect, &call)?);
        lines.push("break;".to_owned());
        let declared = match variables.name(counter) {
            Some(_) => "",
            None => "__u64 ",
        };
        Ok(format!(
            "for ({declared}{turn} = 0; {turn} < {times}; {turn}++) {}",
            block.around(&lines)
        ))
    }

    /// Writes calls that begin at once, each in its own thread.
    fn together(&mut self, ops: &[Op], race: &Race) -> Result<String, String> {
        let mut racers = Vec::new();
        for (op, check) in ops.iter().zip(&race.checks) {
            racers.push(format!("{{ .run = {} }}", self.racer(op, check)?));
        }
        let name = self.caller.words.variables.fresh("racers");
        let mut conditions = Vec::new();
        for way in &race.ends {
            let mut ends = Vec::new();
            for (place, end) in way.iter().enumerate() {
                let error = match end {
                    WantEnd::Success => "0".to_owned(),
                    WantEnd::Errno(number) => errno_name(*number)?,
                    other => return Err(format!("a race does not end with {other:?}")),
                };
                ends.push(format!("ended(&{name}[{place}], {error})"));
            }
            conditions.push(format!("!({})", ends.join(" && ")));
        }
        let (count, racers) = (racers.len(), racers.join(", "));
        let block = Block {
            declarations: vec![format!("struct racer {name}[] = {{ {racers} }};")],
        };
        let words = text::literal(&ways(race)?);
        let conditions = conditions.join(" &&\n    ");
        Ok(block.around(&[
            format!("at_once({name}, {count});"),
            format!("if ({conditions})\n\tfail({words}, \"%s\", ends_of({name}, {count}));"),
        ]))
    }

    /// The function that a thread executes: its return value is the call's.
    fn racer(&mut self, op: &Op, check: &Check) -> Result<String, String> {
        let call = self.caller.call(op, check)?;
        if call.end != End::Errno {
            return Err("a race of a step that is not a single system call".to_owned());
        }
        if looks_at(check) || check.expect.returns.is_some() || check.plan.is_some() {
            return Err("an expectation in a race".to_owned());
        }
        let mut block = Block::of(&call);
        let mut lines = call.statements.clone();
        let keep = self.kept(&call, check);
        if keep.is_empty() {
            lines.push(format!("return {};", call.expression));
        } else {
            block.declare("long ret;".to_owned());
            lines.push(format!("ret = {};", call.expression));
            let keep = indented(&keep.join("\n"));
            lines.push(format!("if (ret != -1) {{\n{keep}}}"));
            lines.push("return ret;".to_owned());
        }
        self.made += 1;
        let name = format!("racer_{}", self.made);
        let body = block.around(&lines);
        let body = body.trim_end();
        self.functions
            .push_str(&format!("static long {name}(void)\n{body}\n\n"));
        Ok(name)
    }

    /// Writes a call with a failure injected at its first, second, ... point, until none is left.
    fn injected(
        &mut self,
        plan: &FailNth,
        injection: &Injection,
        check: &Check,
        number: usize,
    ) -> Result<String, String> {
        let call = self.injected_call(plan, check)?;
        if call.end != End::Errno {
            return Err(
                "failures injected into a step that is not a single system call".to_owned(),
            );
        }
        let nth = self.caller.words.variables.fresh("nth");
        let mut block = Block::of(&call);
        block.declare("enum failure failed;".to_owned());
        block.declare("int error;".to_owned());
        block.declare("long ret;".to_owned());
        let mut lines = call.statements.clone();
        lines.push(format!("fail_point({nth});"));
        lines.push(format!("ret = {};", call.expression));
        lines.push("error = errno;".to_owned());
        lines.push("failed = point_failed();".to_owned());
        let undone = self.after_failure(plan, injection, check, number)?;
        lines.push(format!(
            "if (failed && ret == -1) {{\n{}}}",
            indented(&undone)
        ));
        lines.push("errno = error;".to_owned());
        lines.extend(self.verdict(&call, check, "ret")?);
        lines.extend(self.checker.rest(&check.expect, &call)?);
        lines.extend(self.kept(&call, check));
        lines.push(format!(
            "if (!failed && {nth} == 1)\n\t\
             fail(\"a point at which a failure can be injected\", \"the call has no such point\");"
        ));
        lines.push("if (!failed)\n\tbreak;".to_owned());
        let survived = self.after(&plan.survived, &injection.survived)?;
        if !survived.is_empty() {
            lines.push(survived.trim_end().to_owned());
            lines.push(again(number, check));
        }
        lines.push(format!(
            "if ({nth} == {})\n\tfail(\"a last point of failure\", \"more points\");",
            plan.limit
        ));
        Ok(format!(
            "prepare_failures();\nfor (int {nth} = 1;; {nth}++) {}",
            block.around(&lines)
        ))
    }

    /// Writes the call so that only the system call itself has points of failure.
    fn injected_call(&self, plan: &FailNth, check: &Check) -> Result<Call, String> {
        let variables = self.caller.words.variables;
        let mut call = self.caller.call(&plan.op, check)?;
        let path = variables.fresh("path");
        match &plan.op {
            Op::File(FileOp::Open { at, .. }) => {
                let at = self.caller.location(at)?;
                call.expression = call.expression.replacen(&at, &path, 1);
                call.declarations
                    .push(format!("const char *{path} = {at};"));
            }
            Op::File(FileOp::WriteFile { at, text }) => {
                let at = self.caller.location(at)?;
                let text = self.caller.placeholders.text(text);
                let value = variables.fresh("value");
                let target = variables.fresh("target");
                call.declarations
                    .push(format!("int {target} = open({at}, O_WRONLY | O_CLOEXEC);"));
                call.declarations
                    .push(format!("const char *{value} = {text};"));
                call.declarations
                    .push(format!("size_t length = strlen({value});"));
                call.expression = format!("write({target}, {value}, length)");
            }
            Op::Ioctl(_) if matches!(check.layout, case::Layout::Text) => {
                let argument = call
                    .expression
                    .rsplit_once(", ")
                    .map(|(_, argument)| argument);
                if argument.is_some_and(|argument| argument.contains("text(")) {
                    return Err("a string that is built for the call".to_owned());
                }
            }
            _ => {}
        }
        Ok(call)
    }

    fn after_failure(
        &mut self,
        plan: &FailNth,
        injection: &Injection,
        check: &Check,
        number: usize,
    ) -> Result<String, String> {
        let mut body = String::new();
        let kinds = [
            ("ALLOCATION", &injection.allocations),
            ("COPY", &injection.copies),
            ("HOOK", &injection.hooks),
        ];
        for (kind, errnos) in kinds {
            let names: Vec<_> = errnos
                .iter()
                .map(|errno| errno_name(*errno))
                .collect::<Result<_, _>>()?;
            let words = text::literal(&format!("success or {}", names.join(" or ")));
            let list = names.join(", ");
            body.push_str(&format!(
                "if (failed == {kind})\n\t\
                 want_one_of(error, (const int[]){{ {list} }}, {}, {words});\n",
                names.len()
            ));
        }
        let failed = self.after(&plan.failed, &injection.failed)?;
        let made = self.made;
        let failed_copy = self.after(&plan.failed_copy, &injection.failed_copy)?;
        if failed == failed_copy && made == self.made {
            body.push_str(&failed);
        } else {
            body.push_str(&format!(
                "if (failed == COPY) {{\n{}}} else {{\n{}}}\n",
                indented(&failed_copy),
                indented(&failed)
            ));
        }
        if !failed.is_empty() || !failed_copy.is_empty() {
            body.push_str(&again(number, check));
            body.push('\n');
        }
        body.push_str("continue;\n");
        Ok(body)
    }

    fn after(&mut self, ops: &[Op], checks: &[Check]) -> Result<String, String> {
        let mut body = String::new();
        for (op, check) in ops.iter().zip(checks) {
            body.push_str(&self.told(op, check, Told::Failure)?);
        }
        Ok(body)
    }
}

/// Describes the ways in which a race may end.
fn ways(race: &Race) -> Result<String, String> {
    let way = |way: &Vec<WantEnd>| {
        let ends: Result<Vec<_>, _> = way.iter().map(ending).collect();
        ends.map(|ends| ends.join(" | "))
    };
    let ways: Result<Vec<_>, _> = race.ends.iter().map(way).collect();
    ways.map(|ways| ways.join("; or "))
}

/// Writes the step's label again after other steps in between.
fn again(number: usize, check: &Check) -> String {
    format!("step({number}, {});", text::literal(&check.label))
}

/// Returns the variable that an outcome has to be kept in, if any.
fn outcome(call: &Call, check: &Check) -> (Option<String>, &'static str) {
    if call.end == End::Dma {
        return (Some("struct dma seen".to_owned()), "seen");
    }
    let uses_ret = (check.expect.returns.is_some() && call.returned.is_none())
        || call.returns_slot.is_some()
        || check.plan.is_some()
        || matches!(&call.data, Data::Bytes { length, .. }
            if length == "ret" && (looks_at(check) || !call.saves.is_empty()));
    (uses_ret.then(|| "long ret".to_owned()), "ret")
}

/// Statements with their own variables.
#[derive(Debug)]
struct Block {
    declarations: Vec<String>,
}

impl Block {
    fn of(call: &Call) -> Self {
        Self {
            declarations: call.declarations.clone(),
        }
    }

    fn declare(&mut self, declaration: String) {
        self.declarations.push(declaration);
    }

    fn around(&self, lines: &[String]) -> String {
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
