//! `pread` and `pwrite`: the regions of a device through its descriptor. `read` and `write`:
//! queues of events, whose buffers are memory of the case.

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want, WantData, WantEnd},
    fields::Fields,
    node::Node,
    problem::Problem,
    steps::{memory::read_offset, step::read_errno},
    value,
};

/// `pread: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, length: 2, expect: [0x36, 0x1b]}`
#[derive(Debug, Clone, PartialEq)]
pub struct Pread {
    on: String,
    offset: Value,
    length: u64,
    expect: Option<Vec<u8>>,
    end: WantEnd,
}

impl Pread {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "pread")?;
        let on = fields.need("on")?.text()?.to_owned();
        let offset = read_offset(&mut fields)?;
        let length = fields.number("length")?.unwrap_or(4);
        let expect = fields.take("expect").map(read_bytes).transpose()?;
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            on,
            offset,
            length,
            expect,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("pread of {}", self.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let fd = Value::Slot {
            name: self.on.clone(),
            add: 0,
        };
        let op = Op::Pread {
            fd,
            offset: self.offset.clone(),
            length: self.length,
        };
        let mut expect = Expect::ending(self.end.clone());
        if self.end == WantEnd::Success {
            expect.returns = Some(Want::Is(Value::Const(self.length)));
        }
        expect.data = self
            .expect
            .clone()
            .map_or(WantData::Anything, WantData::Bytes);
        to.push(op, expect, Layout::Bytes);
        Ok(())
    }
}

/// `pwrite: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, offset: 4, bytes: [6, 0]}`
#[derive(Debug, Clone, PartialEq)]
pub struct Pwrite {
    on: String,
    offset: Value,
    bytes: Vec<u8>,
    end: WantEnd,
}

impl Pwrite {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "pwrite")?;
        let on = fields.need("on")?.text()?.to_owned();
        let offset = read_offset(&mut fields)?;
        let bytes = read_bytes(fields.need("bytes")?)?;
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            on,
            offset,
            bytes,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("pwrite to {}", self.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let fd = Value::Slot {
            name: self.on.clone(),
            add: 0,
        };
        let op = Op::Pwrite {
            fd,
            offset: self.offset.clone(),
            bytes: self.bytes.clone(),
        };
        let mut expect = Expect::ending(self.end.clone());
        if self.end == WantEnd::Success {
            expect.returns = Some(Want::Is(Value::Const(self.bytes.len() as u64)));
        }
        to.push(op, expect, Layout::Nothing);
        Ok(())
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
