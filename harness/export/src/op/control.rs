//! Control of other ops: repetition, races, injected failures.

use case::{Check, Injection, Parts, Race, WantEnd};
use wire::{ControlOp, FailNth, FileOp, Op};

use crate::{
    call::{Call, End, looks_at},
    check::{ending, errno_name},
    step::{Block, Told, Writer},
    text::{self, indented},
};

impl Writer<'_> {
    /// Writes an op that repeats, races or injects failures. Returns `None` for any other op.
    pub fn control(
        &mut self,
        op: &Op,
        check: &Check,
        number: usize,
    ) -> Result<Option<String>, String> {
        let body = match (op, &check.parts) {
            (_, Parts::ByRace(checks)) => self.by_race(op, checks),
            (Op::Control(ControlOp::Repeat { times, counter, op }), _) => {
                self.repeated(*times, &counter.0, op, check)
            }
            (Op::Control(ControlOp::FailNth { plan }), Parts::Injected(injection)) => {
                self.injected(plan, injection, check, number)
            }
            (Op::Control(ControlOp::FailNth { .. }), _) => {
                Err("injected failures without a check".to_owned())
            }
            (Op::Control(ControlOp::Together { ops, delays }), Parts::Together(race)) => {
                self.together(ops, delays, race)
            }
            (Op::Control(ControlOp::Together { .. }), _) => {
                Err("a race without a check".to_owned())
            }
            _ => return Ok(None),
        };
        body.map(Some)
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
        lines.push(self.checker.end(&check.expect.end, call.end, "ret")?);
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
    fn together(&mut self, ops: &[Op], delays: &[u32], race: &Race) -> Result<String, String> {
        let mut racers = Vec::new();
        let delays = delays.iter().copied().chain(std::iter::repeat(0));
        for ((op, check), delay) in ops.iter().zip(&race.checks).zip(delays) {
            let run = self.racer(op, check)?;
            racers.push(match delay {
                0 => format!("{{ .run = {run} }}"),
                delay => format!("{{ .run = {run}, .delay = {delay} }}"),
            });
        }
        let name = self.caller.words.variables.fresh("racers");
        let mut seen = Vec::new();
        for (number, way) in race.ends.iter().enumerate() {
            let condition = condition(&name, way)?;
            seen.push(format!("{condition} ? {number} :\n\t"));
        }
        let (count, racers) = (racers.len(), racers.join(", "));
        let mut block = Block::default();
        block.declare(format!("struct racer {name}[] = {{ {racers} }};"));
        let words = text::literal(&ways(race)?);
        Ok(block.around(&[
            format!("at_once({name}, {count});"),
            format!("way_of_race = {}-1;", seen.concat()),
            format!("if (way_of_race < 0)\n\tfail({words}, \"%s\", ends_of({name}, {count}));"),
        ]))
    }

    /// Writes an op whose check depends on how the last race ended.
    fn by_race(&self, op: &Op, checks: &[Check]) -> Result<String, String> {
        let mut ways = Vec::new();
        for (number, check) in checks.iter().enumerate() {
            let body = indented(&self.plain(op, check)?);
            ways.push(format!("if (way_of_race == {number}) {{\n{body}}}"));
        }
        Ok(format!("{}\n", ways.join(" else ")))
    }

    /// The function that a thread executes: its return value is the call's.
    fn racer(&mut self, op: &Op, check: &Check) -> Result<String, String> {
        let call = self.caller.call(op, check)?;
        if call.end != End::Errno {
            return Err("a race of a step that is not a single system call".to_owned());
        }
        if looks_at(check) || check.expect.returns.is_some() || !check.plans.is_empty() {
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
        lines.push(self.checker.end(&check.expect.end, call.end, "ret")?);
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

/// Whether the racers of that name ended in this way.
fn condition(racers: &str, way: &[WantEnd]) -> Result<String, String> {
    let mut ends = Vec::new();
    for (place, end) in way.iter().enumerate() {
        let error = match end {
            WantEnd::Success => "0".to_owned(),
            WantEnd::Errno(number) => errno_name(*number)?,
            other => return Err(format!("a race does not end with {other:?}")),
        };
        ends.push(format!("ended(&{racers}[{place}], {error})"));
    }
    Ok(ends.join(" && "))
}

/// Describes what follows each of the ways in which a race may end.
pub fn ends_by_race(checks: &[Check]) -> Result<String, String> {
    let ends = checks.iter().map(|check| ending(&check.expect.end));
    let mut ends: Vec<_> = ends.collect::<Result<_, _>>()?;
    ends.dedup();
    Ok(ends.join("; or "))
}

/// Describes the ways in which a race may end.
pub fn ways(race: &Race) -> Result<String, String> {
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
