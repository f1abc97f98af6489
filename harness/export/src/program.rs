//! The whole program.

use std::collections::BTreeSet;

use case::{Case, Check, Clause, Guest, IA32_CONFIG, MOCK_CONFIG};
use wire::{Abi, ControlOp, FileOp, Op, PciOp, Plan, ProcessOp};

use crate::{
    buffer::Words,
    call::{Caller, variable},
    check::Checker,
    error::ExportError,
    helper,
    number::Numbers,
    placeholders::{Device, Placeholders},
    step::Writer,
    text::{self, format_literal, indented, names},
    variables::Variables,
};

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its C.
    pub text: String,
    /// Its arguments, in order.
    pub arguments: Vec<Argument>,
}

/// One argument of a program: a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its role, such as `group.0`. The argument is its PCI address, or the UUID of an mdev.
    pub role: String,
    /// Whether its serial number may follow after a comma. Its DMA is signed with that number.
    pub signs: bool,
}

/// Writes a case as a C program for machines like the offered one.
pub fn program(case: &Case, offer: &Guest, clauses: &[Clause]) -> Result<Program, ExportError> {
    let placeholders = Placeholders::set(case, offer)?;
    let Plan { ops, restore, .. } = &placeholders.compiled.plan;
    let checks = &placeholders.compiled.checks;
    let variables = Variables::of(ops, checks, &own_names(&placeholders, ops));
    let mock = case
        .needs
        .config()
        .iter()
        .any(|option| option == MOCK_CONFIG)
        || uses_mock(checks);
    let numbers = Numbers { mock };
    let words = Words {
        numbers,
        variables: &variables,
    };
    let stage_ref = &placeholders;
    let caller = Caller {
        placeholders: stage_ref,
        words,
    };
    let checker = Checker {
        placeholders: stage_ref,
        words,
    };
    let planned = placeholders.compiled.planned().into_iter();
    let planned = planned.map(str::to_owned).collect();
    let mut writer = Writer::new(caller, checker, planned);
    let body = steps(case, ops, checks, &mut writer)?;
    let restore = restored(case, restore, &caller)?;
    let parts = Parts {
        case,
        offer,
        clauses,
        placeholders: stage_ref,
        variables: &variables,
        writer: &writer,
        body,
        restore,
        mock,
    };
    Ok(parts.assemble())
}

/// Returns the names that the program uses besides its variables.
fn own_names(placeholders: &Placeholders, ops: &[Op]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for device in placeholders.devices() {
        names.insert(device.variable.clone());
        names.insert(format!("{}_serial", device.variable));
    }
    for group in placeholders.groups() {
        names.insert(group.number.clone());
        names.insert(group.kind.clone());
    }
    let forks = ops.iter().filter_map(|op| match op.innermost() {
        Op::Process(ProcessOp::Fork { process }) => Some(variable(process)),
        _ => None,
    });
    names.extend(forks);
    names
}

/// Whether a 32-bit program would make this call, which gets SIGSEGV from a kernel without its ABI.
fn is_ia32(op: &Op) -> bool {
    matches!(op.innermost(), Op::Ioctl(call) if call.abi == Abi::Ia32)
}

fn uses_mock(checks: &[Check]) -> bool {
    checks.iter().any(|check| {
        let parts: &[Check] = match &check.parts {
            case::Parts::Whole => &[],
            case::Parts::Injected(injection) => &injection.failed,
            case::Parts::Together(race) => &race.checks,
            case::Parts::ByRace(checks) => checks,
        };
        let mut layouts = parts.iter().chain([check]).map(|check| check.layout);
        layouts
            .any(|layout| matches!(layout, case::Layout::Struct(of) if of.source == uapi::MOCK_H))
    })
}

fn steps(
    case: &Case,
    ops: &[Op],
    checks: &[Check],
    writer: &mut Writer<'_>,
) -> Result<String, ExportError> {
    let mut body = String::new();
    for (index, (op, check)) in ops.iter().zip(checks).enumerate() {
        let failed = |what| ExportError::Step {
            case: case.id.clone(),
            step: check.step + 1,
            label: check.label.clone(),
            what,
        };
        let block = match op {
            Op::Control(ControlOp::Start { process, op }) => {
                let finish = finish_of(process, &ops[index..]).map(|after| index + after);
                let finish = finish.ok_or_else(|| failed("`start` without `finish`".to_owned()))?;
                let between = checks[index..finish].iter().filter(|check| check.shown);
                writer.start(process, op, &checks[finish], between.count())
            }
            op => writer.op(op, check),
        };
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str(&block.map_err(failed)?);
    }
    Ok(body)
}

fn finish_of(process: &str, ops: &[Op]) -> Option<usize> {
    ops.iter()
        .position(|op| matches!(op, Op::Control(ControlOp::Finish { process: other, .. }) if other == process))
}

/// A file that is restored, with the variable for its previous text.
#[derive(Debug)]
struct Before {
    variable: String,
    path: String,
}

#[derive(Debug, Default)]
struct Restore {
    before: Vec<Before>,
    body: String,
}

/// Returns what is undone after the case, however it ends.
fn restored(case: &Case, ops: &[Op], caller: &Caller<'_>) -> Result<Restore, ExportError> {
    let mut restore = Restore::default();
    for op in ops {
        let call = match op {
            // Only the suite disables resets between cases, so programs do not.
            Op::File(FileOp::WriteFile {
                at: wire::Location::Path(path),
                text,
            }) if path.ends_with("/reset_method") => {
                let path = caller.placeholders.text(path);
                let known = restore.before.iter().find(|before| before.path == path);
                let variable = known.map_or_else(
                    || format!("reset_method_{}", restore.before.len()),
                    |before| before.variable.clone(),
                );
                if known.is_none() {
                    restore.before.push(Before {
                        variable: variable.clone(),
                        path: path.clone(),
                    });
                }
                format!("write_file({path}, *{variable} ? {variable} : \"\\n\")")
            }
            op => {
                let call = caller.call(op, &unchecked());
                let call = call.map_err(|what| ExportError::Restore {
                    case: case.id.clone(),
                    what,
                })?;
                call.expression
            }
        };
        let words = text::literal(&what(op));
        let mut line = format!("restored({call}, {words});\n");
        if let Op::Pci(PciOp::Host {
            action: wire::HostAction::Plug(device),
        }) = op
        {
            let path = caller
                .placeholders
                .text(&format!("/sys/bus/pci/devices/{device}"));
            line = format!("if (access({path}, F_OK))\n\t{line}");
        }
        // A case may have changed the same thing several times.
        if !restore.body.ends_with(&line) {
            restore.body.push_str(&line);
        }
    }
    Ok(restore)
}

fn unchecked() -> Check {
    Check {
        step: 0,
        label: String::new(),
        at: case::At::default(),
        expect: case::Expect::SUCCESS,
        plans: Vec::new(),
        layout: case::Layout::Nothing,
        needs_dma: false,
        shown: false,
        parts: case::Parts::Whole,
    }
}

/// Describes what an op restores.
fn what(op: &Op) -> String {
    match op {
        Op::Pci(PciOp::Driver { driver, .. }) => match driver {
            Some(driver) => format!("driver {driver}"),
            None => "no driver".to_owned(),
        },
        Op::File(FileOp::WriteFile {
            at: wire::Location::Path(path),
            ..
        }) => {
            let name = path.rsplit('/').next().unwrap_or_default();
            format!("file {name}")
        }
        _ => "the device is there".to_owned(),
    }
}

struct Parts<'a> {
    case: &'a Case,
    offer: &'a Guest,
    clauses: &'a [Clause],
    placeholders: &'a Placeholders,
    variables: &'a Variables,
    writer: &'a Writer<'a>,
    body: String,
    restore: Restore,
    mock: bool,
}

impl Parts<'_> {
    fn assemble(&self) -> Program {
        let mut code = String::new();
        for process in &self.writer.processes {
            code.push_str(&format!("static struct process {};\n", variable(process)));
        }
        if !code.is_empty() {
            code.push('\n');
        }
        code.push_str(&self.writer.functions);
        code.push_str(&format!(
            "static void test(void)\n{{\n{}}}\n\n",
            self.test()
        ));
        if !self.restore.body.is_empty() {
            let body = indented(&self.restore.body);
            code.push_str(&format!("static void restore(void)\n{{\n{body}}}\n\n"));
        }
        let devices = self.used_devices(&code);
        code.push_str(&self.main(&devices, &code));
        let variables = self.variables(&devices, &code);
        let (includes, helpers) = helper::around(&format!("{variables}{code}"));
        let macros = if code.contains("REGION(") {
            "/* vfio-pci gives each region its part of the file. */\n\
             #define REGION(index) ((__u64)(index) << 40)\n\n"
        } else {
            ""
        };
        let used = names(&variables);
        let argument = |device: &&Device| Argument {
            role: device.role.clone(),
            signs: used.contains(serial(device).as_str()),
        };
        let arguments: Vec<_> = devices.iter().map(argument).collect();
        let head = self.head(&devices, &arguments, includes.contains(uapi::MOCK_H));
        let text = format!(
            "// SPDX-License-Identifier: MIT OR Apache-2.0\n{head}#define _GNU_SOURCE\n{includes}\
             {macros}{variables}{helpers}{code}"
        );
        Program { text, arguments }
    }

    fn test(&self) -> String {
        let mut body = String::new();
        if !self.waits_for_somebody() {
            // Long enough for a busy emulated machine.
            let seconds = (self.case.timeout_ms / 1000).max(20) * 3;
            body.push_str(&format!("alarm({seconds});\n"));
        }
        let used = names(&self.body);
        let functions = names(&self.writer.functions);
        let faults = ["load", "store", "peek"];
        if faults
            .iter()
            .any(|name| used.contains(name) || functions.contains(name))
        {
            body.push_str("catch_faults();\n");
        }
        if self.variables.shared && self.variables.variables().next().is_some() {
            body.push_str(
                "shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,\n\
                 \t      MAP_SHARED | MAP_ANONYMOUS, -1, 0);\n\
                 if (shared == MAP_FAILED)\n\tfail(\"memory\", \"none\");\n",
            );
        }
        if !body.is_empty() {
            body.push('\n');
        }
        body.push_str(&self.body);
        indented(&body)
    }

    fn waits_for_somebody(&self) -> bool {
        let host = |op: &Op| matches!(op.innermost(), Op::Pci(PciOp::Host { .. }));
        self.placeholders.compiled.plan.ops.iter().any(host)
    }

    /// Returns the devices of the program, in the order of its arguments.
    fn used_devices(&self, code: &str) -> Vec<&Device> {
        let used = names(code);
        let mut taken: Vec<_> = self
            .placeholders
            .devices()
            .filter(|device| used.contains(device.variable.as_str()))
            .collect();
        for group in self.placeholders.groups() {
            let named = [&group.number, &group.kind];
            if named.iter().any(|name| used.contains(name.as_str()))
                && !self
                    .placeholders
                    .members(group)
                    .any(|own| taken.iter().any(|device| device.variable == own.variable))
            {
                taken.extend(self.placeholders.members(group).next());
            }
        }
        taken.sort_by(|one, other| {
            let rank = |device: &Device| match device.role.split('.').next() {
                Some("group") => 0,
                Some("other") => 1,
                _ => 2,
            };
            (rank(one), &one.role).cmp(&(rank(other), &other.role))
        });
        taken
    }

    fn main(&self, devices: &[&Device], code: &str) -> String {
        let used = names(code);
        let mut body = self.usage(devices);
        body.push_str(&arguments(devices, &used));
        body.push_str(&self.needs(devices));
        for group in self.placeholders.groups() {
            body.push_str(&self.group(group, devices, &used));
        }
        for before in &self.restore.before {
            let (variable, path) = (&before.variable, &before.path);
            body.push_str(&format!("{variable} = first_line({path});\n"));
        }
        let results = self.writer.results;
        body.push_str(&format!(
            "\nprintf(\"TAP version 13\\n1..{results}\\n\");\nfflush(stdout);\n"
        ));
        body.push_str(&self.ending());
        let parameters = match devices {
            [] => "void",
            _ => "int argc, char **argv",
        };
        let locals = match self.restore.body.as_str() {
            "" => "",
            _ => "\tint status;\n\tpid_t pid;\n\n",
        };
        let lines = indented(&body);
        format!("int main({parameters})\n{{\n{locals}{lines}}}\n")
    }

    /// Returns the checks that skip the program if the machine lacks something.
    fn needs(&self, devices: &[&Device]) -> String {
        let mut body = String::new();
        for (name, path, why) in &self.placeholders.features {
            let words = text::literal(&format!("feature {name}: {why}"));
            body.push_str(&format!("need_file({}, {words});\n", text::literal(path)));
        }
        let (since, until) = self.case.needs.releases();
        for (release, later) in [(since, 1), (until, 0)] {
            if let Some(uapi::Series { major, minor }) = release {
                body.push_str(&format!("need_release({major}, {minor}, {later});\n"));
            }
        }
        let options = self.case.needs.config().iter().map(String::as_str);
        let options = options.chain(self.mock.then_some(MOCK_CONFIG));
        let ops = &self.placeholders.compiled.plan.ops;
        let ia32 = ops.iter().any(is_ia32).then_some(IA32_CONFIG);
        let options: BTreeSet<_> = options.chain(ia32).collect();
        for option in options {
            body.push_str(&format!("need_config({});\n", text::literal(option)));
        }
        body.extend(devices.iter().map(|device| need_device(device)));
        body
    }

    fn usage(&self, devices: &[&Device]) -> String {
        if devices.is_empty() {
            return String::new();
        }
        let words: Vec<_> = devices
            .iter()
            .map(|device| device.role.to_uppercase())
            .collect();
        let count = devices.len() + 1;
        let need = format!("arguments: {}", words.join(" "));
        format!("if (argc != {count})\n\tskip({});\n", format_literal(&need))
    }

    /// Returns the statements that read the number of a group and check that its devices are in it.
    fn group(
        &self,
        group: &crate::placeholders::Group,
        devices: &[&Device],
        used: &BTreeSet<&str>,
    ) -> String {
        let members: Vec<_> = self
            .placeholders
            .members(group)
            .filter(|own| devices.iter().any(|device| device.variable == own.variable))
            .collect();
        let Some(first) = members.first() else {
            return String::new();
        };
        let number =
            |device: &Device| format!("number_of_group(\"{}\", {})", device.bus, device.variable);
        let mut body = String::new();
        let kind = used.contains(group.kind.as_str());
        if kind || used.contains(group.number.as_str()) {
            body.push_str(&format!("{} = {};\n", group.number, number(first)));
        }
        if kind {
            body.push_str(&format!(
                "{} = first_line(text(\"/sys/kernel/iommu_groups/%d/type\", {}));\n",
                group.kind, group.number
            ));
        }
        for other in members.iter().skip(1) {
            body.push_str(&format!(
                "if ({} != {})\n\tskip(\"{} and {} in one IOMMU group\");\n",
                number(first),
                number(other),
                first.role,
                other.role
            ));
        }
        body
    }

    fn ending(&self) -> String {
        if self.restore.body.is_empty() {
            return "test();\nreturn 0;\n".to_owned();
        }
        "/* Changes are undone after the test has closed everything. */\n\
         pid = fork();\n\
         if (pid == 0) {\n\ttest();\n\texit(0);\n}\n\
         if (waitpid(pid, &status, 0) != pid)\n\tstatus = 1 << 8;\n\
         restore();\n\
         if (WIFEXITED(status) && WEXITSTATUS(status))\n\treturn WEXITSTATUS(status);\n\
         return WIFSIGNALED(status) || not_restored;\n"
            .to_owned()
    }

    fn variables(&self, devices: &[&Device], code: &str) -> String {
        let used = names(code);
        let mut text = String::new();
        for device in devices {
            let name = &device.variable;
            text.push_str(&format!("static const char *{name};\n"));
            if used.contains(format!("{name}_serial").as_str()) {
                text.push_str(&format!("static const char *{name}_serial;\n"));
            }
        }
        for group in self.placeholders.groups() {
            if used.contains(group.number.as_str()) {
                text.push_str(&format!("static int {};\n", group.number));
            }
            if used.contains(group.kind.as_str()) {
                text.push_str(&format!("static const char *{};\n", group.kind));
            }
        }
        for before in &self.restore.before {
            text.push_str(&format!("static const char *{};\n", before.variable));
        }
        text.push_str(&self.values());
        if !text.is_empty() {
            text.push('\n');
        }
        text
    }

    /// Returns the variables for values that later steps use.
    fn values(&self) -> String {
        let declared =
            |variable: &crate::variables::Variable| format!("{} {};\n", variable.of, variable.name);
        if self.variables.shared {
            let members: String = self.variables.variables().map(declared).collect();
            if members.is_empty() {
                return String::new();
            }
            return format!(
                "static struct {{\n{}}} *shared;	/* by all processes */\n",
                indented(&members)
            );
        }
        let variables = self.variables.variables();
        variables
            .map(|variable| format!("static {}", declared(variable)))
            .collect()
    }

    fn head(&self, devices: &[&Device], arguments: &[Argument], mock_header: bool) -> String {
        let case = self.case;
        let mut lines = vec![
            case.id.clone(),
            String::new(),
            case.summary.trim().to_owned(),
        ];
        lines.extend(self.clause_lines());
        for xfail in &case.xfails {
            if xfail.when.holds(self.offer, case.shape) {
                let complaints = xfail.shows.complaints.iter().map(ToString::to_string);
                let complaints: Vec<_> = complaints.collect();
                let how = match complaints.as_slice() {
                    [] => "It is known to fail".to_owned(),
                    texts => format!("The kernel is known to complain ({})", texts.join(", ")),
                };
                lines.extend([String::new(), format!("{how}: {}", xfail.reason)]);
            }
        }
        let (release, platform) = (&self.offer.release, &self.offer.platform);
        lines.extend([
            String::new(),
            format!(
                "It expects what the uAPI of Linux {release} promises (machine: {platform}). \
                 Exported from a case of the conformance suite for iommufd and vfio."
            ),
            String::new(),
            "Build and run, as root:".to_owned(),
            format!("  {}", self.build_line(mock_header)),
        ]);
        let words: Vec<_> = devices
            .iter()
            .map(|device| device.role.to_uppercase())
            .collect();
        let command = format!("  ./{} {}", self.file(), words.join(" "));
        lines.push(command.trim_end().to_owned());
        if mock_header {
            lines.push(
                "iommufd_test.h is in drivers/iommu/iommufd of the kernel's source.".to_owned(),
            );
        }
        let both = devices.iter().zip(arguments);
        lines.extend(both.map(|(device, argument)| describe(device, argument.signs)));
        lines.push("Exit codes: 0 as expected, 1 failed, 4 skipped.".to_owned());
        text::comment(&lines)
    }

    fn clause_lines(&self) -> Vec<String> {
        let text = |id: &str| {
            let clause = self.clauses.iter().find(|clause| clause.id == id);
            clause.map_or_else(String::new, |clause| format!(": {}", clause.text))
        };
        let proves = self.case.proves.iter();
        let mut lines: Vec<_> = proves
            .map(|id| format!("Clause {id}{}", text(id)))
            .collect();
        for deviation in &self.case.deviations {
            let id = &deviation.clause;
            let how = if deviation.absent {
                "Absent"
            } else {
                "Deviates"
            };
            lines.push(format!("Clause {id}{}", text(id)));
            lines.push(format!("{how}: {}", deviation.reason));
        }
        if !lines.is_empty() {
            lines.insert(0, String::new());
        }
        lines
    }

    fn file(&self) -> String {
        file_name(&self.case.id)
    }

    fn build_line(&self, mock_header: bool) -> String {
        let file = self.file();
        let include = if mock_header {
            " -I linux/drivers/iommu/iommufd"
        } else {
            ""
        };
        format!("gcc -Wall -isystem linux/usr/include{include} -o {file} {file}.c")
    }
}

/// Returns the statements that read the devices from the command line.
fn arguments(devices: &[&Device], used: &BTreeSet<&str>) -> String {
    let mut body = String::new();
    for (index, device) in devices.iter().enumerate() {
        let argument = index + 1;
        let name = &device.variable;
        if used.contains(format!("{name}_serial").as_str()) {
            body.push_str(&format!("{name}_serial = serial_of(argv[{argument}]);\n"));
        }
        body.push_str(&format!("{name} = argv[{argument}];\n"));
    }
    body
}

fn need_device(device: &Device) -> String {
    let name = &device.variable;
    if device.bus == "mdev" {
        let path = format!("text(\"/sys/bus/mdev/devices/%s\", {name})");
        return format!("need_file({path}, \"an mdev of that UUID\");\n");
    }
    let driver = device.default_driver.as_deref();
    let driver = driver.map_or_else(|| "NULL".to_owned(), text::literal);
    format!("need_device({name}, {driver});\n")
}

/// Name of a program: the last parts of its id.
fn file_name(id: &str) -> String {
    let parts: Vec<_> = id.split('/').skip(1).collect();
    if parts.is_empty() {
        id.to_owned()
    } else {
        parts.join("-")
    }
}

/// Variable with the serial number of a device.
fn serial(device: &Device) -> String {
    format!("{}_serial", device.variable)
}

fn describe(device: &Device, signs: bool) -> String {
    let role = device.role.to_uppercase();
    if device.bus == "mdev" {
        return format!("{role}: the UUID of an mdev.");
    }
    let driver = match &device.default_driver {
        Some(driver) => format!("bound to {driver}"),
        None => "without a driver".to_owned(),
    };
    let kind = match device.engine {
        true => "an nvme of QEMU with cmb_size_mb=1",
        false => "a device",
    };
    let more = match signs {
        true => " ADDRESS,SERIAL identifies its DMA by the serial number.",
        false => "",
    };
    format!("{role}: the PCI address of {kind}, {driver}.{more}")
}
