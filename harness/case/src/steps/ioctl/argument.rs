//! The third argument of an ioctl.

use uapi::{Arg as ArgKind, Element, Field, Kind, Struct};
use wire::{Arg, Patch, Value, Width};

use crate::{
    build::Builder,
    expect::Layout,
    fields::Fields,
    node::{Name, Node, Tree},
    problem::Problem,
    steps::ioctl::fields::{width_of, wire_width},
    value,
};

/// Address that no process has mapped.
const UNMAPPED: u64 = 0x10;
/// Byte of a tail that is not zero.
const GARBAGE: u8 = 0x5a;
/// Maximum size of a struct in a case; a larger one is probably a mistake.
const MAX_BUFFER: u64 = 0x10_0000;

/// The third argument of an ioctl.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    /// The value itself.
    Value(Value),
    /// A pointer to a buffer.
    Buffer {
        /// What it holds.
        bytes: Vec<u8>,
        /// Values that are only known in the guest.
        patches: Vec<Patch>,
        /// Whether the kernel may not write to it.
        read_only: bool,
        /// How to read it afterwards.
        layout: Layout,
    },
}

impl Argument {
    /// Resolves the argument for one guest. Returns with it how to read it after the call.
    pub fn resolve(&self, to: &Builder<'_>) -> Result<(Arg, Layout), String> {
        match self {
            Self::Value(value) => Ok((Arg::Value(value.clone()), Layout::Nothing)),
            Self::Buffer {
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
                let mut arg = Buffer {
                    bytes,
                    patches: Vec::new(),
                    mapped: None,
                };
                for patch in patches {
                    let value = to.roles.declared_value(patch.value.clone())?;
                    arg.place(patch.offset, patch.width, value);
                }
                let arg = Arg::Buffer {
                    bytes: arg.bytes,
                    patches: arg.patches,
                    read_only: *read_only,
                };
                Ok((arg, *layout))
            }
        }
    }

    /// Reads the remaining keys of the step.
    pub fn read(mut fields: Fields<'_>, ioctl: &uapi::Ioctl) -> Result<Self, Problem> {
        let pointer = fields.take("pointer");
        let bad = match pointer.map(|node| (node, node.text())) {
            None => None,
            Some((_, Ok("null"))) => Some(Bad::Address(0)),
            Some((_, Ok("unmapped"))) => Some(Bad::Address(UNMAPPED)),
            Some((_, Ok("read_only"))) => Some(Bad::ReadOnly),
            Some((node, Ok(name))) if name.starts_with('$') => {
                let at = value::value(node)?;
                fields.finish()?;
                return Ok(Self::Value(at));
            }
            Some((node, name)) => {
                let known = ["null", "unmapped", "read_only", "$NAME of memory"];
                return Err(Problem::unknown_name(node.at, "pointer", name?, known));
            }
        };
        if let Some(Bad::Address(address)) = bad {
            fields.finish()?;
            return Ok(Self::Value(Value::Const(address)));
        }
        let read_only = bad.is_some();
        match ioctl.arg {
            ArgKind::None => {
                fields.finish()?;
                Ok(Self::Value(Value::Const(0)))
            }
            ArgKind::Value => {
                let value = value::value(fields.need("value")?)?;
                fields.finish()?;
                Ok(Self::Value(value))
            }
            ArgKind::IntPtr => read_int(fields, read_only),
            ArgKind::StrPtr => read_string(fields, read_only),
            ArgKind::Struct(layout) => read_buffer(fields, layout, read_only),
        }
    }
}

fn fill_string(to: &Builder<'_>, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let text = String::from_utf8_lossy(bytes);
    Ok(to.roles.fill(&text)?.into_bytes())
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
    // The fields may determine the type of the tail, and the size covers both.
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
    /// How many bytes of the struct are in memory, if not as many as its size says.
    mapped: Option<usize>,
}

impl Buffer {
    fn set_size(&mut self, layout: &Struct, size: u64) {
        let field = layout.fields.iter().find(|field| field.kind == Kind::Size);
        if let Some(field) = field {
            self.put(field.offset as usize, width_of(field), size);
        }
    }

    /// Writes as much of a constant as fits into the buffer, because the struct may be short.
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
        // The buffer has the size in the field, up to a limit: a kernel that trusts an absurd size
        // reaches the end of the mapping.
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
        // Elements of variable type are mostly descriptors and flags of 32 bits.
        let width = match element {
            Element::Plain { width, .. } => wire_width(width),
            _ => Width::W4,
        };
        self.bytes.resize(offset + width.bytes(), 0);
        self.place(offset, width, value::value(item)?);
        Ok(offset + width.bytes())
    }

    /// Reads a struct in an array, followed by its own array if it has one.
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
