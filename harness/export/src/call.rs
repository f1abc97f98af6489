//! One op as one expression of C.

use case::{Check, WantData};
use wire::{Fd, Location, Op, Value};

use crate::{
    buffer::{Buffer, Words},
    number::{offset, plain},
    placeholders::Placeholders,
    text,
};

/// How an expression returns its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// -1, and `errno`.
    Errno,
    /// A signal, or 0.
    Signal,
    /// `struct dma`.
    Dma,
}

/// The data that an op leaves.
#[derive(Debug, Default)]
pub enum Data {
    #[default]
    Nothing,
    /// A struct.
    Struct {
        /// The variable.
        buffer: Buffer,
        /// Pointer to the memory that the kernel was given.
        memory: String,
        /// Its size in bytes.
        length: usize,
        /// Statement that copies it to the variable.
        fetch: Option<String>,
    },
    Bytes {
        /// Pointer to them.
        pointer: String,
        /// How many.
        length: String,
    },
}

/// One op.
#[derive(Debug)]
pub struct Call {
    /// Declarations with initial values.
    pub declarations: Vec<String>,
    /// Statements before the call.
    pub statements: Vec<String>,
    /// The call.
    pub expression: String,
    /// How it ends.
    pub end: End,
    /// Expression for the return value.
    pub returned: Option<String>,
    /// The data that it leaves.
    pub data: Data,
    /// The slot that gets its return value.
    pub returns_slot: Option<String>,
    /// Statements that save values from the data.
    pub saves: Vec<String>,
}

impl Call {
    /// Returns a call without data.
    pub fn new(expression: String) -> Self {
        Self {
            declarations: Vec::new(),
            statements: Vec::new(),
            expression,
            end: End::Errno,
            returned: None,
            data: Data::Nothing,
            returns_slot: None,
            saves: Vec::new(),
        }
    }

    /// Returns the same call, but with its return value saved.
    pub fn saving(self, slot: &str) -> Self {
        Self {
            returns_slot: Some(slot.to_owned()),
            ..self
        }
    }
}

/// Writes calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// The meanings of names.
    pub placeholders: &'a Placeholders,
    /// Names of numbers and variables.
    pub words: Words<'a>,
}

impl Caller<'_> {
    /// The op as an expression.
    pub fn call(&self, op: &Op, check: &Check) -> Result<Call, String> {
        match op {
            Op::Ioctl(op) => self.ioctl(op, check),
            Op::Memory(op) => self.memory(op, check),
            Op::File(op) => self.file(op),
            Op::Event(op) => self.event(op),
            Op::Pci(op) => self.pci(op),
            Op::Dma(op) => self.dma(op),
            Op::Process(op) => self.process(op),
            Op::Control(_) => Err("steps nested more than two deep".to_owned()),
        }
    }

    /// A descriptor as an expression.
    pub fn fd(&self, fd: &Fd) -> Result<String, String> {
        self.value(&fd.0)
    }

    pub fn value(&self, value: &Value) -> Result<String, String> {
        self.words.value(value)
    }

    /// A value as a pointer.
    pub fn address(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Const(number) => Ok(format!("unknown_address({})", plain(*number))),
            Value::Slot { add: 0, .. } => Ok(format!("(void *){}", self.value(value)?)),
            Value::Slot { .. } => Ok(format!("(void *)({})", self.value(value)?)),
        }
    }

    pub fn offset(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Const(number) => Ok(offset(*number)),
            Value::Slot { add: 0, .. } => self.value(value),
            Value::Slot { name, add } => {
                let slot = Value::Slot {
                    name: name.clone(),
                    add: 0,
                };
                let slot = self.value(&slot)?;
                match *add {
                    add if add > u64::MAX / 2 => {
                        Ok(format!("{slot} - {}", plain(add.wrapping_neg())))
                    }
                    add => Ok(format!("{} + {slot}", offset(add))),
                }
            }
        }
    }

    /// Where something is, as an expression.
    pub fn location(&self, at: &Location) -> Result<String, String> {
        Ok(match at {
            Location::Path(path) => self.placeholders.text(path),
            Location::Descriptor(fd) => format!("text(\"/proc/self/fd/%d\", {})", self.fd(fd)?),
            Location::Entry {
                directory,
                starts,
                prefix,
            } => {
                if let (Some((bus, device)), "") = (vfio_device(directory, prefix), starts.as_str())
                {
                    return Ok(format!(
                        "device_node(\"{bus}\", {})",
                        self.placeholders.text(device)
                    ));
                }
                let directory = self.placeholders.text(directory);
                let (starts, prefix) = (text::literal(starts), text::literal(prefix));
                format!("entry({directory}, {starts}, {prefix})")
            }
            Location::Link { link, prefix } => {
                let link = self.placeholders.text(link);
                format!("link_target({link}, {})", text::literal(prefix))
            }
        })
    }

    /// Returns a call that fills an array and returns how much it filled.
    pub fn bytes(&self, of: &str, length: u64, call: impl FnOnce(&str, &str) -> String) -> Call {
        let name = self.words.variables.fresh("bytes");
        // Long arrays are not on the stack.
        let storage = if length > 0x10000 { "static " } else { "" };
        Call {
            declarations: vec![format!("{storage}{of} {name}[{}];", plain(length))],
            data: Data::Bytes {
                pointer: name.clone(),
                length: "ret".to_owned(),
            },
            ..Call::new(call(&name, &format!("sizeof({name})")))
        }
    }
}

/// Returns the bus and the device of a node.
fn vfio_device<'a>(directory: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let directory = directory.strip_prefix("/sys/bus/")?;
    let device = directory.strip_suffix("/vfio-dev")?;
    let (bus, device) = device.split_once("/devices/")?;
    // The name of a function that a case creates consists of a bus and a slot.
    (prefix == "/dev/vfio/devices/").then_some((bus, device))
}

/// The variable of a process.
pub fn variable(process: &str) -> String {
    format!("{process}_process")
}

/// Whether the check looks at the data.
pub fn looks_at(check: &Check) -> bool {
    check.expect.data != WantData::Anything || !check.expect.fields.is_empty()
}
