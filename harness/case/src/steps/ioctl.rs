//! An ioctl step: the request's name is the key, the struct's field names are the keys of
//! its body.
//!
//! Fields that are not given are zero; `size`/`argsz` is right. Besides the fields:
//! `on`, `errno`, `expect`, `save`, `returns`, `save_return`, `pointer`, `trailing`, `mapped`,
//! `request`, `plan`, the name of the struct's flexible array, and `value`, `fd` or `string`
//! for an argument that is no struct.

use uapi::{Arg as ArgKind, Element, Field, Kind, Struct, Tail};
use wire::{Arg, Op, Patch, Save, Value, Width};

use crate::{
    build::Builder,
    expect::{Expect, FieldWant, Layout, Want, WantData, WantEnd},
    fields::Fields,
    node::{Name, Node, Tree},
    problem::Problem,
    role::{Member, Role, Which},
    steps::step::{read_end, read_errno},
    value,
};

/// Address that no process has mapped.
const UNMAPPED: u64 = 0x10;
/// Byte of a tail that is not zero.
const GARBAGE: u8 = 0x5a;
/// Longest struct a case may ask for; beyond it a slip of the pen is more likely.
const MAX_BUFFER: u64 = 0x10_0000;

/// Fields to keep, and under which names.
pub type Saves = Vec<(&'static Field, String)>;

/// One ioctl.
#[derive(Debug, Clone, PartialEq)]
pub struct Ioctl {
    ioctl: &'static uapi::Ioctl,
    /// The number to call, where it is not the ioctl's own.
    request: Option<u32>,
    on: String,
    argument: Argument,
    expect: Expect,
    groups: Vec<GroupWant>,
    saves: Vec<Save>,
    save_return: Option<String>,
    /// What a kernel that conforms to the plan would answer instead.
    pub plan: Option<WantEnd>,
}

/// A field that is to hold the number of a group, which only the guest knows.
type GroupWant = (&'static Field, usize, Which);

#[derive(Debug, Clone, PartialEq)]
enum Argument {
    Value(Value),
    Buffer {
        bytes: Vec<u8>,
        patches: Vec<Patch>,
        read_only: bool,
        layout: Layout,
    },
}

impl Ioctl {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(name: &Name, body: &Node) -> Result<Self, Problem> {
        let ioctl = uapi::ioctl(&name.text).ok_or_else(|| {
            let known = uapi::ioctls().iter().map(|ioctl| ioctl.name);
            Problem::unknown_name(name.at, "ioctl", &name.text, known)
        })?;
        let mut fields = Fields::of(body, ioctl.name)?;
        let layout = match ioctl.arg {
            ArgKind::Struct(layout) => Some(layout),
            _ => None,
        };
        let on_node = fields.need("on")?;
        let on = on_node.text()?.trim_start_matches('$').to_owned();
        value::check_name(on_node, &on)?;
        let end = read_errno(&mut fields)?;
        let plan = fields.take("plan").map(read_end).transpose()?;
        let payload = layout
            .map(|layout| Payload::of(layout, body))
            .transpose()?
            .flatten();
        let wants = match (fields.take("expect"), layout) {
            (None, _) => Wants::default(),
            (Some(node), Some(layout)) => read_wants(node, layout, payload)?,
            (Some(node), None) => {
                return Err(Problem::other(
                    node.at,
                    format!("{} has no struct", ioctl.name),
                ));
            }
        };
        let returns = fields
            .take("returns")
            .map(|node| read_want(node, value::value));
        let returns = returns.transpose()?;
        let saves = read_saves(&mut fields, layout, payload, ioctl.name)?;
        let save_return = fields.text("save_return")?.map(str::to_owned);
        let request = fields.take("request").map(read_request).transpose()?;
        let argument = read_argument(fields, ioctl)?;
        let expect = Expect {
            end,
            returns,
            fields: wants.fields,
            data: WantData::Anything,
        };
        Ok(Self {
            ioctl,
            request,
            on,
            argument,
            expect,
            groups: wants.groups,
            saves,
            save_return,
            plan,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} on {}", self.ioctl.name, self.on)
    }

    /// Which one.
    #[must_use]
    pub fn made(&self) -> &'static uapi::Ioctl {
        self.ioctl
    }

    /// Which part of it, where an index among the flags says so: a feature of a device.
    #[must_use]
    pub fn part(&self) -> Option<&'static uapi::Constant> {
        let (ArgKind::Struct(layout), Argument::Buffer { bytes, .. }) =
            (self.ioctl.arg, &self.argument)
        else {
            return None;
        };
        let by_index = |field: &'static Field| match field.kind {
            Kind::IndexAndFlags { mask, index, .. } => Some((field.get(bytes)? & mask, index)),
            _ => None,
        };
        let (number, index) = layout.fields.iter().find_map(by_index)?;
        index.iter().find(|constant| constant.value == number)
    }

    /// How it is expected to end.
    #[must_use]
    pub fn wanted(&self) -> &WantEnd {
        &self.expect.end
    }

    /// It is to end like this.
    pub fn want(&mut self, end: WantEnd) {
        self.expect.end = end;
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        if self.ioctl.source == uapi::MOCK_H {
            to.cast.need_config("CONFIG_IOMMUFD_TEST")?;
        }
        let (arg, layout) = match &self.argument {
            Argument::Value(value) => (Arg::Value(value.clone()), Layout::Nothing),
            Argument::Buffer {
                bytes,
                patches,
                read_only,
                layout,
            } => {
                // A string argument may name a device of the guest.
                let bytes = match layout {
                    Layout::Text => fill_string(to, bytes)?,
                    _ => bytes.clone(),
                };
                let arg = Arg::Buffer {
                    bytes,
                    patches: patches.clone(),
                    read_only: *read_only,
                };
                (arg, *layout)
            }
        };
        let op = Op::Ioctl {
            fd: Value::Slot {
                name: self.on.clone(),
                add: 0,
            },
            request: self.request.unwrap_or(self.ioctl.request),
            arg,
            save: self.saves.clone(),
            save_ret: self.save_return.clone(),
        };
        let mut expect = self.expect.clone();
        for (field, base, which) in &self.groups {
            let number = to.cast.group(*which)?.number()?;
            expect.fields.push(FieldWant {
                field,
                base: *base,
                want: Want::Is(Value::Const(number.into())),
            });
        }
        to.push(op, expect, layout);
        Ok(())
    }
}

fn fill_string(to: &Builder<'_>, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(bytes);
    Ok(to.cast.fill(&text)?.into_bytes())
}

fn read_request(node: &Node) -> Result<u32, Problem> {
    let number = node.number()?;
    u32::try_from(number).map_err(|_| node.not("an ioctl number of 32 bits"))
}

/// The structure that fills the flexible array of another one: `data.FIELD` names a field of
/// its first element.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    tail: &'static Tail,
    layout: &'static Struct,
}

impl Payload {
    /// None where the array is absent, of integers, or opaque.
    fn of(layout: &'static Struct, body: &Node) -> Result<Option<Self>, Problem> {
        let Some(tail) = layout.tail else {
            return Ok(None);
        };
        Ok(match element_of(layout, tail, body)? {
            Some(Element::Struct(layout)) => Some(Self { tail, layout }),
            _ => None,
        })
    }

    /// The field that `data.NAME` means, and where its structure begins.
    fn field(self, dotted: &str) -> Option<(&'static Field, usize)> {
        let name = dotted.strip_prefix(self.tail.name)?.strip_prefix('.')?;
        let field = self.layout.field(name)?;
        Some((field, self.tail.offset as usize))
    }
}

/// What the flexible array of a call consists of; none where its fields do not tell.
///
/// # Errors
/// When a field that decides about it has no such value.
pub fn element_of(
    layout: &'static Struct,
    tail: &Tail,
    body: &Node,
) -> Result<Option<Element>, Problem> {
    let mut fields = Vec::new();
    for (name, node) in body.entries()? {
        let field = layout.field(&name.text);
        let Some(field) = field.filter(|field| decides(tail, field)) else {
            continue;
        };
        if let Value::Const(number) = value::field_value(node, field)? {
            fields.push((field.name, number));
        }
    }
    let known = |name: &str| fields.iter().find(|(of, _)| *of == name).map(|(_, n)| *n);
    Ok(tail.element.chosen(known))
}

/// The structure that fills the flexible array of a call, where it is one.
///
/// # Errors
/// When a field that decides about it has no such value.
pub fn payload_of(
    layout: &'static Struct,
    body: &Node,
) -> Result<Option<(&'static Tail, &'static Struct)>, Problem> {
    let payload = Payload::of(layout, body)?;
    Ok(payload.map(|payload| (payload.tail, payload.layout)))
}

/// Whether the field says what the flexible array consists of.
fn decides(tail: &Tail, field: &Field) -> bool {
    matches!(tail.element, Element::Chosen(choices)
        if choices.iter().any(|choice| choice.field == field.name))
}

/// A field of the struct, or of what fills its flexible array.
fn find_field(
    layout: Option<&'static Struct>,
    payload: Option<Payload>,
    name: &str,
) -> Option<(&'static Field, usize)> {
    let own = layout.and_then(|layout| layout.field(name));
    own.map(|field| (field, 0))
        .or_else(|| payload.and_then(|payload| payload.field(name)))
}

/// Reads `save: {field: name}`.
///
/// # Errors
/// When the struct has no such field, or the name is none.
pub fn read_saves(
    fields: &mut Fields<'_>,
    layout: Option<&'static Struct>,
    payload: Option<Payload>,
    what: &str,
) -> Result<Vec<Save>, Problem> {
    let Some(node) = fields.take("save") else {
        return Ok(Vec::new());
    };
    let mut saves = Vec::new();
    for (name, slot) in node.entries()? {
        let (field, base) = find_field(layout, payload, &name.text).ok_or_else(|| {
            let known = layout
                .map_or(&[][..], |layout| layout.fields)
                .iter()
                .map(|f| f.name);
            Problem::unknown_key(name.at, &name.text, what, known)
        })?;
        let text = slot.text()?;
        value::check_name(slot, text)?;
        saves.push(Save {
            offset: base + field.offset as usize,
            width: width_of(field),
            slot: text.to_owned(),
        });
    }
    Ok(saves)
}

/// Name under which a case speaks of the capabilities behind an info struct.
const CAPABILITIES: &str = "capabilities";

#[derive(Default)]
struct Wants {
    fields: Vec<FieldWant>,
    groups: Vec<GroupWant>,
}

/// Reads `expect` of an ioctl: fields, the elements of the flexible array under its name, and
/// under `capabilities` the structs of the chain behind an info struct, in its order.
fn read_wants(
    node: &Node,
    layout: &'static Struct,
    payload: Option<Payload>,
) -> Result<Wants, Problem> {
    let mut wants = Wants::default();
    for (name, want) in node.entries()? {
        match (layout.tail, find_field(Some(layout), payload, &name.text)) {
            (Some(tail), None) if tail.name == name.text => wants.read_tail(tail, want)?,
            (_, None) if name.text == CAPABILITIES => {
                wants.fields.extend(read_chain_wants(want, layout)?);
            }
            (_, found) => wants.read(name, want, layout, found)?,
        }
    }
    Ok(wants)
}

impl Wants {
    fn read_tail(&mut self, tail: &uapi::Tail, node: &Node) -> Result<(), Problem> {
        let Element::Struct(layout) = tail.element else {
            let text = format!("`{}` does not consist of structs", tail.name);
            return Err(Problem::other(node.at, text));
        };
        for (index, item) in node.items().iter().enumerate() {
            let base = tail.offset as usize + index * layout.size as usize;
            for (name, want) in item.entries()? {
                let found = layout.field(&name.text).map(|field| (field, base));
                self.read(name, want, layout, found)?;
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        name: &Name,
        want: &Node,
        layout: &'static Struct,
        found: Option<(&'static Field, usize)>,
    ) -> Result<(), Problem> {
        let (field, base) = found.ok_or_else(|| {
            let known = layout.fields.iter().map(|field| field.name);
            Problem::unknown_key(name.at, &name.text, layout.name, known)
        })?;
        match group_named(want) {
            Some(which) => self.groups.push((field, base, which)),
            None => self.fields.extend(read_field_want(want, field, base)?),
        }
        Ok(())
    }
}

/// The kernel puts the chain right behind the struct, each capability at a multiple of eight.
fn read_chain_wants(node: &Node, info: &'static Struct) -> Result<Vec<FieldWant>, Problem> {
    let mut wants = Wants::default();
    let mut base = info.size as usize;
    for item in node.items() {
        let named = item.entries()?.iter().find(|(key, _)| key.text == "struct");
        let missing = || Problem::missing(item.at, "struct", "a capability");
        let layout = read_struct(&named.ok_or_else(missing)?.1)?;
        for (name, want) in item.entries()? {
            if name.text != "struct" {
                let found = layout.field(&name.text).map(|field| (field, base));
                wants.read(name, want, layout, found)?;
            }
        }
        base += (layout.size as usize).next_multiple_of(8);
    }
    Ok(wants.fields)
}

/// `{group}` or `{other}`.
fn group_named(node: &Node) -> Option<Which> {
    let Tree::Text(text) = &node.tree else {
        return None;
    };
    let role = Role::named(text.strip_prefix('{')?.strip_suffix('}')?)?;
    (role.member == Member::Whole).then_some(role.which)
}

fn read_argument(mut fields: Fields<'_>, ioctl: &uapi::Ioctl) -> Result<Argument, Problem> {
    let pointer = fields.take("pointer");
    let bad = match pointer.map(|node| (node, node.text())) {
        None => None,
        Some((_, Ok("null"))) => Some(Bad::Address(0)),
        Some((_, Ok("unmapped"))) => Some(Bad::Address(UNMAPPED)),
        Some((_, Ok("read_only"))) => Some(Bad::ReadOnly),
        Some((node, Ok(name))) if name.starts_with('$') => {
            let at = value::value(node)?;
            fields.finish()?;
            return Ok(Argument::Value(at));
        }
        Some((node, name)) => {
            let known = ["null", "unmapped", "read_only", "$NAME of memory"];
            return Err(Problem::unknown_name(node.at, "pointer", name?, known));
        }
    };
    if let Some(Bad::Address(address)) = bad {
        fields.finish()?;
        return Ok(Argument::Value(Value::Const(address)));
    }
    let read_only = bad.is_some();
    match ioctl.arg {
        ArgKind::None => {
            fields.finish()?;
            Ok(Argument::Value(Value::Const(0)))
        }
        ArgKind::Value => {
            let value = value::value(fields.need("value")?)?;
            fields.finish()?;
            Ok(Argument::Value(value))
        }
        ArgKind::IntPtr => read_int(fields, read_only),
        ArgKind::StrPtr => read_string(fields, read_only),
        ArgKind::Struct(layout) => read_buffer(fields, layout, read_only),
    }
}

enum Bad {
    Address(u64),
    ReadOnly,
}

fn read_int(mut fields: Fields<'_>, read_only: bool) -> Result<Argument, Problem> {
    let value = value::value(fields.need("fd")?)?;
    fields.finish()?;
    let patches = vec![Patch {
        offset: 0,
        width: Width::W4,
        value,
    }];
    Ok(Argument::Buffer {
        bytes: vec![0; 4],
        patches,
        read_only,
        layout: Layout::Nothing,
    })
}

fn read_string(mut fields: Fields<'_>, read_only: bool) -> Result<Argument, Problem> {
    let mut bytes = fields.need("string")?.text()?.as_bytes().to_vec();
    bytes.push(0);
    fields.finish()?;
    Ok(Argument::Buffer {
        bytes,
        patches: Vec::new(),
        read_only,
        layout: Layout::Text,
    })
}

fn read_buffer(
    mut fields: Fields<'_>,
    layout: &'static Struct,
    read_only: bool,
) -> Result<Argument, Problem> {
    let trailing = match fields.take("trailing").map(|node| (node, node.text())) {
        None | Some((_, Ok("zeros"))) => 0,
        Some((_, Ok("garbage"))) => GARBAGE,
        Some((node, name)) => {
            return Err(Problem::unknown_name(
                node.at,
                "tail",
                name?,
                ["zeros", "garbage"],
            ));
        }
    };
    let mapped = fields.number("mapped")?;
    let tail = layout
        .tail
        .and_then(|tail| fields.take(tail.name).map(|node| (tail, node)));
    let (left, asked) = fields.rest();
    let mut buffer = Buffer {
        bytes: vec![0; layout.size as usize],
        patches: Vec::new(),
        mapped: mapped.map(|mapped| mapped.clamp(1, MAX_BUFFER) as usize),
    };
    let mut size = None;
    for (name, node) in left {
        let field = layout.field(&name.text).ok_or_else(|| {
            let fields = layout.fields.iter().map(|field| field.name);
            let tail = layout.tail.map(|tail| tail.name);
            let known = asked.iter().map(String::as_str).chain(fields).chain(tail);
            Problem::unknown_key(name.at, &name.text, layout.name, known)
        })?;
        match field.kind {
            Kind::Size => size = Some(node),
            _ => buffer.set(field, node)?,
        }
    }
    // The fields may say what the tail is, and the size covers both.
    if let Some((tail, node)) = tail {
        buffer.read_tail(layout, tail, node)?;
    }
    buffer.set_size(layout, buffer.bytes.len() as u64);
    if let Some(node) = size {
        buffer.resize(layout, node, trailing)?;
    }
    if let Some(mapped) = buffer.mapped {
        buffer.bytes.resize(mapped, trailing);
    }
    let Buffer { bytes, patches, .. } = buffer;
    Ok(Argument::Buffer {
        bytes,
        patches,
        read_only,
        layout: Layout::Struct(layout),
    })
}

struct Buffer {
    bytes: Vec<u8>,
    patches: Vec<Patch>,
    /// How much of the struct is there, where that is not what its size says.
    mapped: Option<usize>,
}

impl Buffer {
    fn set_size(&mut self, layout: &Struct, size: u64) {
        let field = layout.fields.iter().find(|field| field.kind == Kind::Size);
        if let Some(field) = field {
            self.put(field.offset as usize, width_of(field), size);
        }
    }

    /// Writes as much of a constant as the buffer has room for: a short struct is short.
    fn put(&mut self, offset: usize, width: Width, value: u64) {
        let bytes = value.to_le_bytes();
        for (to, from) in self
            .bytes
            .iter_mut()
            .skip(offset)
            .zip(&bytes[..width.bytes()])
        {
            *to = *from;
        }
    }

    fn place(&mut self, offset: usize, width: Width, value: Value) {
        match value {
            Value::Const(number) => self.put(offset, width, number),
            value => self.patches.push(Patch {
                offset,
                width,
                value,
            }),
        }
    }

    fn set(&mut self, field: &Field, node: &Node) -> Result<(), Problem> {
        let offset = field.offset as usize;
        let width = width_of(field);
        if field.count > 1 {
            for (index, item) in node.items().iter().enumerate() {
                let value = value::value(item)?;
                self.place(offset + index * width.bytes(), width, value);
            }
            return Ok(());
        }
        self.place(offset, width, value::field_value(node, field)?);
        Ok(())
    }

    /// `size: 8`, `size: short` (one byte less), `size: long` (eight bytes more).
    fn resize(&mut self, layout: &Struct, node: &Node, trailing: u8) -> Result<(), Problem> {
        let right = self.bytes.len() as u64;
        let size = match &node.tree {
            Tree::Int(size) => *size,
            Tree::Text(text) if text == "short" => right - 1,
            Tree::Text(text) if text == "long" => right + 8,
            _ => return Err(node.not("a number of bytes, `short` or `long`")),
        };
        // What the field claims and what is there agree, up to the absurd: a kernel that
        // believes an absurd claim meets the end of the mapping.
        let there = size.clamp(4, MAX_BUFFER) as usize;
        self.bytes.resize(self.mapped.unwrap_or(there), trailing);
        self.set_size(layout, size);
        Ok(())
    }

    fn read_tail(
        &mut self,
        layout: &Struct,
        tail: &uapi::Tail,
        node: &Node,
    ) -> Result<(), Problem> {
        let field = |name: &str| layout.field(name)?.get(&self.bytes);
        let element = tail.element.chosen(field).unwrap_or(tail.element);
        let mut offset = tail.offset as usize;
        for item in node.items() {
            offset = self.read_element(element, item, offset)?;
        }
        Ok(())
    }

    fn read_element(
        &mut self,
        element: Element,
        item: &Node,
        offset: usize,
    ) -> Result<usize, Problem> {
        if let (Element::Struct(layout), Tree::Map(entries)) = (element, &item.tree) {
            return self.read_members(layout, entries, offset);
        }
        // Chosen elements are mostly descriptors and flags of 32 bits.
        let width = match element {
            Element::Plain { width, .. } => wire_width(width),
            _ => Width::W4,
        };
        self.bytes.resize(offset + width.bytes(), 0);
        self.place(offset, width, value::value(item)?);
        Ok(offset + width.bytes())
    }

    /// A struct in an array, with the array behind it where it has one of its own.
    fn read_members(
        &mut self,
        layout: &Struct,
        entries: &[(Name, Node)],
        offset: usize,
    ) -> Result<usize, Problem> {
        let mut end = offset + layout.size as usize;
        self.bytes.resize(end, 0);
        for (name, node) in entries {
            if let Some(tail) = layout.tail.filter(|tail| tail.name == name.text) {
                end = offset + tail.offset as usize;
                for item in node.items() {
                    end = self.read_element(tail.element, item, end)?;
                }
                continue;
            }
            let field = layout.field(&name.text).ok_or_else(|| {
                let fields = layout.fields.iter().map(|field| field.name);
                let known = fields.chain(layout.tail.map(|tail| tail.name));
                Problem::unknown_key(name.at, &name.text, layout.name, known)
            })?;
            let value = value::field_value(node, field)?;
            self.place(offset + field.offset as usize, width_of(field), value);
        }
        Ok(end)
    }
}

/// Reads `expect: {field: value, field: {not: value}, flags: {has: [..], lacks: [..]}}`.
///
/// # Errors
/// With the first thing that is wrong.
pub fn read_field_wants(
    node: &Node,
    layout: &'static Struct,
    base: usize,
) -> Result<Vec<FieldWant>, Problem> {
    let mut wants = Vec::new();
    for (name, want) in node.entries()? {
        let field = layout.field(&name.text).ok_or_else(|| {
            let known = layout.fields.iter().map(|field| field.name);
            Problem::unknown_key(name.at, &name.text, layout.name, known)
        })?;
        wants.extend(read_field_want(want, field, base)?);
    }
    Ok(wants)
}

fn read_field_want(
    want: &Node,
    field: &'static Field,
    base: usize,
) -> Result<Vec<FieldWant>, Problem> {
    let Tree::Map(entries) = &want.tree else {
        let want = Want::Is(value::field_value(want, field)?);
        return Ok(vec![FieldWant { field, base, want }]);
    };
    let relation = |(key, node): &(Name, Node)| {
        let want = read_relation(key, node, |node| value::field_value(node, field))?;
        Ok(FieldWant { field, base, want })
    };
    entries.iter().map(relation).collect()
}

/// The struct that a node names.
///
/// # Errors
/// When the uAPI has none of that name.
pub fn read_struct(node: &Node) -> Result<&'static Struct, Problem> {
    let name = node.text()?;
    uapi::structure(name).ok_or_else(|| {
        let known = uapi::structs().iter().map(|layout| layout.name);
        Problem::unknown_name(node.at, "struct", name, known)
    })
}

/// Reads one expected value: bare, or `{not: ..}`, `{has: ..}`, `{lacks: ..}`.
///
/// # Errors
/// With the first thing that is wrong.
pub fn read_want(
    node: &Node,
    read: impl Fn(&Node) -> Result<Value, Problem>,
) -> Result<Want, Problem> {
    match &node.tree {
        Tree::Map(_) => {
            let (key, node) = node.single()?;
            read_relation(key, node, read)
        }
        _ => read(node).map(Want::Is),
    }
}

fn read_relation(
    key: &Name,
    node: &Node,
    read: impl Fn(&Node) -> Result<Value, Problem>,
) -> Result<Want, Problem> {
    let value = read(node)?;
    match (key.text.as_str(), value) {
        ("not", value) => Ok(Want::Not(value)),
        ("has", Value::Const(bits)) => Ok(Want::Has(bits)),
        ("lacks", Value::Const(bits)) => Ok(Want::Lacks(bits)),
        ("has" | "lacks", _) => Err(node.not("bits that are known before the run")),
        (other, _) => Err(Problem::unknown_name(
            key.at,
            "relation",
            other,
            ["not", "has", "lacks"],
        )),
    }
}

/// Width of one element of a field.
#[must_use]
pub fn width_of(field: &Field) -> Width {
    wire_width(field.width)
}

fn wire_width(width: uapi::Width) -> Width {
    match width {
        uapi::Width::W1 => Width::W1,
        uapi::Width::W2 => Width::W2,
        uapi::Width::W4 => Width::W4,
        uapi::Width::W8 => Width::W8,
    }
}

/// A value as a case writes it.
#[must_use]
pub fn show(value: &Value) -> String {
    match value {
        Value::Const(number) => format!("{number:#x}"),
        Value::Slot { name, add: 0 } => format!("${name}"),
        Value::Slot { name, add } => format!("${name}+{add:#x}"),
    }
}
