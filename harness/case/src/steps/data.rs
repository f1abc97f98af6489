//! `pread` and `pwrite`: the regions of a device through its descriptor. `read` and `write`:
//! queues of events, whose buffers are memory of the case.

use wire::{Op, Patch, Slot, Value, Width};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want, WantData, WantEnd},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    steps::{
        ioctl::{read_want, show},
        memory::{Offset, read_offset},
        registers::{check_number, check_run},
        step::read_errno,
    },
    value,
};

/// Address that no process has mapped.
const UNMAPPED: u64 = 0x10;

/// Where in which descriptor, and how the call ends.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    on: String,
    offset: Offset,
    pointer: Option<Value>,
    returns: Option<u64>,
    end: WantEnd,
}

impl Place {
    fn read(fields: &mut Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            on: fields.need("on")?.text()?.to_owned(),
            offset: read_offset(fields)?,
            pointer: fields.take("pointer").map(read_pointer).transpose()?,
            returns: fields.number("returns")?,
            end: read_errno(fields)?,
        })
    }

    /// Checks that a run of so many bytes is the same everywhere, and that `memory` is of use.
    fn check_run(&self, fields: &mut Fields<'_>, length: u64) -> Result<(), Problem> {
        let at = fields.at();
        let memory = fields.flag("memory")?;
        // A call that is refused reaches no register.
        match self.end {
            WantEnd::Success => check_run(&self.offset, length, memory, at),
            _ => Ok(()),
        }
    }

    fn fd(&self) -> Value {
        Value::Slot {
            name: self.on.clone(),
            add: 0,
        }
    }

    /// A transfer that succeeds is whole, unless the case says how much of it is done.
    fn expect(&self, length: u64) -> Expect {
        let mut expect = Expect::ending(self.end.clone());
        if self.end == WantEnd::Success {
            let done = self.returns.unwrap_or(length);
            expect.returns = Some(Want::Is(Value::Const(done)));
        }
        expect
    }

    fn transfer(&self, write: bool, length: u64) -> Option<Op> {
        Some(Op::Transfer {
            fd: self.fd(),
            write,
            offset: self.offset.value.clone(),
            length,
            at: self.pointer.clone()?,
        })
    }
}

fn read_pointer(node: &Node) -> Result<Value, Problem> {
    match &node.tree {
        Tree::Text(text) if text == "unmapped" => Ok(Value::Const(UNMAPPED)),
        _ => value::value(node),
    }
}

/// `pread: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, length: 2, expect: [0x36, 0x1b]}`, or
/// with `width: 2` for a number: `expect: {has: PCI_COMMAND_MEMORY}`, `save: command`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pread {
    place: Place,
    length: u64,
    expect: WantData,
    save: Option<Slot>,
}

impl Pread {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "pread")?;
        let place = Place::read(&mut fields)?;
        let width = read_width(&mut fields, &place)?;
        let length = fields.number("length")?.unwrap_or(4);
        let all = fields.number("all")?;
        let expect = match (fields.take("expect"), width) {
            (Some(node), Some(_)) => WantData::Number(read_want(node, value::value)?),
            (Some(node), None) => WantData::Bytes(read_bytes(node)?),
            (None, _) => all.map_or(WantData::Anything, |byte| WantData::All(byte as u8)),
        };
        let save = fields.take("save").map(read_slot).transpose()?;
        if width.is_none() {
            place.check_run(&mut fields, length)?;
        }
        fields.finish()?;
        Ok(Self {
            place,
            length: width.map_or(length, |width| width.bytes() as u64),
            expect,
            save,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("pread of {}", self.place.on)
    }

    /// What is saved, and what is compared with it, is another one on another machine.
    fn layout(&self) -> Layout {
        let saved = matches!(&self.expect, WantData::Number(Want::Is(Value::Slot { .. })));
        if saved || self.save.is_some() {
            Layout::Volatile
        } else {
            Layout::Bytes
        }
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let own = Op::Pread {
            fd: self.place.fd(),
            offset: self.place.offset.value.clone(),
            length: self.length,
            save: self.save.clone(),
        };
        let op = self.place.transfer(false, self.length).unwrap_or(own);
        let mut expect = self.place.expect(self.length);
        expect.data = self.expect.clone();
        to.push(op, expect, self.layout());
        Ok(())
    }
}

/// `pwrite: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, offset: 4, bytes: [6, 0]}`, or
/// `width: 2, value: [PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Pwrite {
    place: Place,
    bytes: Vec<u8>,
    patches: Vec<Patch>,
}

impl Pwrite {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "pwrite")?;
        let place = Place::read(&mut fields)?;
        let (bytes, patches) = match read_width(&mut fields, &place)? {
            None => {
                let bytes = read_bytes(fields.need("bytes")?)?;
                place.check_run(&mut fields, bytes.len() as u64)?;
                (bytes, Vec::new())
            }
            Some(width) => read_number(fields.need("value")?, width)?,
        };
        fields.finish()?;
        Ok(Self {
            place,
            bytes,
            patches,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let offset = show(&self.place.offset.value);
        format!("pwrite to {} at {offset}", self.place.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let length = self.bytes.len() as u64;
        let own = Op::Pwrite {
            fd: self.place.fd(),
            offset: self.place.offset.value.clone(),
            bytes: self.bytes.clone(),
            patches: self.patches.clone(),
        };
        let op = self.place.transfer(true, length).unwrap_or(own);
        to.push(op, self.place.expect(length), Layout::Nothing);
        Ok(())
    }
}

/// One number, where a width is given.
fn read_width(fields: &mut Fields<'_>, place: &Place) -> Result<Option<Width>, Problem> {
    let at = fields.at();
    let Some(bytes) = fields.number("width")? else {
        return Ok(None);
    };
    let width = Width::of(bytes)
        .ok_or_else(|| Problem::expected(at, "width 1, 2, 4 or 8", &bytes.to_string()))?;
    // A call that is refused reaches no register.
    if place.end == WantEnd::Success {
        check_number(&place.offset, width, at)?;
    }
    Ok(Some(width))
}

fn read_slot(node: &Node) -> Result<Slot, Problem> {
    let name = node.text()?;
    value::check_name(node, name)?;
    Ok(name.to_owned())
}

fn read_number(node: &Node, width: Width) -> Result<(Vec<u8>, Vec<Patch>), Problem> {
    match value::value(node)? {
        Value::Const(number) if width != Width::W8 && number >> (width.bytes() * 8) != 0 => {
            let what = format!("a number of {} bytes", width.bytes());
            Err(Problem::expected(node.at, &what, &format!("{number:#x}")))
        }
        Value::Const(number) => Ok((number.to_le_bytes()[..width.bytes()].to_vec(), Vec::new())),
        value => {
            let patch = Patch {
                offset: 0,
                width,
                value,
            };
            Ok((vec![0; width.bytes()], vec![patch]))
        }
    }
}

/// `read: {on: faults, into: $buffer, length: 0x30, returns: 0x30, errno: EINVAL}`
///
/// Without `returns` a read that succeeds fills the whole length.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadInto(Transfer);

/// `write: {on: faults, from: $buffer, length: 0x10, returns: 0x10, errno: EINVAL}`
#[derive(Debug, Clone, PartialEq)]
pub struct WriteFrom(Transfer);

#[derive(Debug, Clone, PartialEq)]
struct Transfer {
    on: String,
    buffer: Value,
    length: u64,
    expect: Expect,
}

impl Transfer {
    fn read(body: &Node, what: &str, buffer: &str) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, what)?;
        let on = fields.need("on")?.text()?.to_owned();
        let buffer = value::value(fields.need(buffer)?)?;
        let length = fields.need("length")?.number()?;
        let returns = fields.number("returns")?.unwrap_or(length);
        let mut expect = Expect::ending(read_errno(&mut fields)?);
        if expect.end == WantEnd::Success {
            expect.returns = Some(Want::Is(Value::Const(returns)));
        }
        fields.finish()?;
        Ok(Self {
            on,
            buffer,
            length,
            expect,
        })
    }

    fn fd(&self) -> Value {
        Value::Slot {
            name: self.on.clone(),
            add: 0,
        }
    }
}

impl ReadInto {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        Transfer::read(body, "read", "into").map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("read of {}", self.0.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Read {
            fd: self.0.fd(),
            into: self.0.buffer.clone(),
            length: self.0.length,
        };
        to.push(op, self.0.expect.clone(), Layout::Nothing);
        Ok(())
    }
}

impl WriteFrom {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        Transfer::read(body, "write", "from").map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("write to {}", self.0.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Write {
            fd: self.0.fd(),
            from: self.0.buffer.clone(),
            length: self.0.length,
        };
        to.push(op, self.0.expect.clone(), Layout::Nothing);
        Ok(())
    }
}

fn read_bytes(node: &Node) -> Result<Vec<u8>, Problem> {
    node.items()
        .iter()
        .map(|item| {
            let number = item.number()?;
            u8::try_from(number)
                .map_err(|_| Problem::expected(item.at, "a byte", &format!("{number:#x}")))
        })
        .collect()
}
