//! The normalised transcript: a record of what a case did that is the same in every run.
//!
//! Ids, descriptors and addresses are replaced by names. Everything else is kept, so that changes
//! of behaviour without an explicit expectation also show.

use std::collections::BTreeMap;

use case::{Check, Compiled, Layout, Parts};
use uapi::{Field, Kind, Struct};
use wire::{Arg, ControlOp, IoctlOp, Left, Observed, Op, Outcome, Patch, Target, Value};

use crate::judge::description::{dma_result, ends_by_race, observed_end, shown_bytes, ways};

/// Renders one line for each op that is shown.
pub fn render(compiled: &Compiled, outcomes: &[Option<Outcome>]) -> String {
    let mut names = Names::default();
    let mut text = String::new();
    let ops = compiled.plan.ops.iter().zip(&compiled.checks);
    for ((op, check), outcome) in ops.zip(outcomes) {
        let Some(outcome) = outcome else { continue };
        names.learn(op, check.layout, outcome);
        if check.shown {
            let line = line(op, check, outcome, &names);
            text.push_str(&format!("{:>2} {}: {line}\n", check.step + 1, check.label));
        }
    }
    text
}

fn line(op: &Op, check: &Check, outcome: &Outcome, names: &Names) -> String {
    // How the race before ended differs between runs, so all that may follow is shown.
    if let Parts::ByRace(checks) = &check.parts {
        return ends_by_race(checks);
    }
    let end = match &outcome.observed {
        // Which op wins differs between runs, so the possible ends are shown.
        Observed::Together(_) => match &check.parts {
            Parts::Together(race) => ways(race),
            _ => observed_end(outcome),
        },
        // The number of changed bytes depends on the data, so only the fact of a change is shown.
        Observed::Dma(dma) if dma.changed > 0 => {
            format!(
                "{:?}, {}, signed {}",
                dma.end,
                dma_result(dma),
                dma.signature
            )
        }
        _ => observed_end(outcome),
    };
    let last = match &outcome.observed {
        Observed::Injected(injected) => &injected.last.observed,
        observed => observed,
    };
    let data = match last {
        Observed::Ok { data, .. } | Observed::Errno { data, .. } => data,
        _ => return end,
    };
    if is_text_as_given(op, check.layout, data) {
        return end;
    }
    match shown_data(check.layout, data, &names.given(op)) {
        Some(data) => format!("{end} {data}"),
        None => end,
    }
}

/// Whether a call has left the text as it was that the case gave it, such as the name of a device, whose
/// address depends on what else the machine has.
fn is_text_as_given(op: &Op, layout: Layout, data: &[u8]) -> bool {
    let arg = call(op).map(|call| &call.arg);
    matches!(arg, Some(Arg::Buffer { bytes, .. }) if layout == Layout::Text && bytes == data)
}

/// Returns the call that an op makes, with failures injected or not.
fn call(op: &Op) -> Option<&IoctlOp> {
    match op.innermost() {
        Op::Ioctl(call) => Some(call),
        Op::Control(ControlOp::FailNth { plan }) => call(&plan.op),
        _ => None,
    }
}

fn shown_data(layout: Layout, data: &[u8], names: &Given<'_>) -> Option<String> {
    if data.is_empty() {
        return None;
    }
    match layout {
        Layout::Nothing => None,
        Layout::Volatile => Some(format!("({} bytes)", data.len())),
        Layout::Bytes | Layout::Text => Some(shown_bytes(data)),
        Layout::Struct(layout) => Some(shown_struct(layout, data, names)),
    }
}

/// Shows by name the fields that are not zero, and those that only happen to be.
fn shown_struct(layout: &Struct, data: &[u8], names: &Given<'_>) -> String {
    let chosen = chosen_member(layout, data);
    let fields = layout
        .fields
        .iter()
        .filter(|field| !field.union || is_member(field, chosen.as_deref()))
        .filter_map(|field| {
            let value = field.get(data)?;
            let varies = field.kind == Kind::Counted && names.names.injected;
            if value == 0 && !varies {
                return None;
            }
            Some(format!("{}: {}", field.name, names.shown(field, value)))
        });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
}

/// Returns the name of the value that selects the member of a union, in lower case: `MOCK_DOMAIN`
/// selects `mock_domain.*`.
fn chosen_member(layout: &Struct, data: &[u8]) -> Option<String> {
    let chooser = layout
        .fields
        .iter()
        .find(|field| matches!(field.kind, Kind::Enum(_)))?;
    Some(chooser.text(chooser.get(data)?).to_lowercase())
}

/// Whether to show a field. All fields of a union without a selector are shown.
fn is_member(field: &Field, chosen: Option<&str>) -> bool {
    match (field.name.split_once('.'), chosen) {
        (Some((member, _)), Some(chosen)) => chosen.ends_with(member),
        _ => true,
    }
}

/// Whether the field at this offset is a descriptor, whose number may also be the id of something
/// else.
fn is_fd(layout: Layout, data: &[u8], offset: usize) -> bool {
    let Layout::Struct(layout) = layout else {
        return false;
    };
    let chosen = chosen_member(layout, data);
    layout
        .fields
        .iter()
        .filter(|field| field.offset as usize == offset)
        .any(|field| {
            field.kind == Kind::Fd && (!field.union || is_member(field, chosen.as_deref()))
        })
}

/// Names of the values that differ from run to run.
#[derive(Debug, Default)]
struct Names {
    fds: BTreeMap<u64, String>,
    ids: BTreeMap<u64, String>,
    /// Start, length, name.
    areas: Vec<(u64, u64, String)>,
    /// The value of each name.
    values: BTreeMap<String, u64>,
    /// Whether a call was repeated until no failure was left to inject. How often depends on the
    /// allocations of this build, and so does everything that the kernel counts.
    injected: bool,
    /// Whether ops were executed at once. Which ids are free afterwards, and so which number an
    /// object gets, depends on how they ended.
    raced: bool,
}

/// The names, and the fields of one call that the case set by name.
struct Given<'a> {
    names: &'a Names,
    patches: &'a [Patch],
}

impl Given<'_> {
    /// Shows the value of a field without a fixed meaning by the name that the case used for it. It
    /// may be an id or a descriptor, depending on other fields.
    fn shown(&self, field: &Field, value: u64) -> String {
        let given = self
            .patches
            .iter()
            .filter(|patch| patch.offset == field.offset as usize)
            .find_map(|patch| self.name(&patch.value, value));
        match (field.kind, given) {
            (Kind::Plain, Some(name)) => name,
            (Kind::Id(_), given) if self.names.raced => given.unwrap_or_else(|| "<id>".to_owned()),
            _ => self.names.shown(field, value),
        }
    }

    /// Returns `None` if the value is not the one with the name.
    fn name(&self, given: &Value, value: u64) -> Option<String> {
        let Value::Slot { name, add } = given else {
            return None;
        };
        let base = self.names.values.get(name)?;
        (base.wrapping_add(*add) == value).then(|| case::show(given))
    }
}

/// Returns the data of a call that succeeded.
fn succeeded(observed: &Observed) -> Option<&[u8]> {
    match observed {
        Observed::Ok { data, .. } => Some(data),
        Observed::Injected(injected) => succeeded(&injected.last.observed),
        _ => None,
    }
}

impl Names {
    fn given<'a>(&'a self, op: &'a Op) -> Given<'a> {
        let patches = match call(op).map(|call| &call.arg) {
            Some(Arg::Buffer { patches, .. }) => patches.as_slice(),
            _ => &[],
        };
        Given {
            names: self,
            patches,
        }
    }

    fn learn(&mut self, op: &Op, layout: Layout, outcome: &Outcome) {
        self.injected |= matches!(outcome.observed, Observed::Injected(_));
        self.raced |= matches!(outcome.observed, Observed::Together(_));
        // The layout is of a single op, and a race has several.
        let layout = match &outcome.observed {
            Observed::Together(_) => Layout::Nothing,
            _ => layout,
        };
        let data = succeeded(&outcome.observed).unwrap_or_default();
        for Left { target, value } in op.leaves(outcome) {
            let slot = target.slot().to_owned();
            match target {
                Target::Fd(_) => {
                    self.values.insert(slot.clone(), value);
                    self.fds.insert(value, slot);
                }
                Target::Mapping { length, .. } => self.areas.push((value, length, slot)),
                Target::Field(save) => {
                    self.values.insert(slot.clone(), value);
                    let names = match is_fd(layout, data, save.offset) {
                        true => &mut self.fds,
                        false => &mut self.ids,
                    };
                    names.insert(value, slot);
                }
                Target::Returned(_) | Target::Number(_) | Target::Counter(_) => {}
            }
        }
    }

    fn shown(&self, field: &Field, value: u64) -> String {
        match field.kind {
            Kind::Fd => self
                .fds
                .get(&value)
                .map_or("<fd>".to_owned(), |name| format!("${name}")),
            Kind::Id(_) => self
                .ids
                .get(&value)
                .map_or("<id>".to_owned(), |name| format!("${name}")),
            Kind::UserPtr(_) => self.area(value),
            Kind::Phys => "<physical address>".to_owned(),
            Kind::Counted if self.injected => "<counted>".to_owned(),
            _ => field.text(value),
        }
    }

    fn area(&self, address: u64) -> String {
        let inside = |(start, length, _): &&(u64, u64, String)| {
            (*start..start.saturating_add(*length)).contains(&address)
        };
        match self.areas.iter().find(inside) {
            Some((start, _, name)) if *start == address => format!("${name}"),
            Some((start, _, name)) => format!("${name}+{:#x}", address - start),
            None => "<address>".to_owned(),
        }
    }
}
