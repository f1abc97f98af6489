//! Registers of a device, and how wide an access to one may be.
//!
//! Under KVM QEMU passes 8 bytes on as two accesses of 4 (`flatview_write()` goes by what a device
//! declares valid, which is 4 where it says nothing), and under TCG as one; a processor cuts what
//! is not aligned. Where a register does something when it is written, the two are not the same. So
//! one access is of 1, 2 or 4 aligned bytes. What is memory and no register, such as nvme's
//! controller memory buffer, may be read and written as a run of bytes, where the case says that it
//! is: `memory: true`.

use wire::{Value, Width};

use crate::{At, input::Input, node::Node, problem::Problem, spec::Spec, value};

/// vfio-pci gives each region the file offset `index << 40`.
const REGION_SHIFT: u32 = 40;

/// BARs are the regions 0 to 5 of a vfio-pci device.
const LAST_BAR: u64 = 5;
/// The region of a VGA device's legacy registers.
const VGA: u64 = 8;
/// Bytes of the widest access to a register.
const WIDEST: u64 = 4;
const TWICE: &str = "access two words of 4 bytes, in the order that the device asks for";
const ALIGNED: &str = "access what is aligned, byte by byte if need be";

/// The index of a region, known before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(u64);

impl Input for Region {
    fn read(node: &Node) -> Result<Self, Problem> {
        match value::value(node)? {
            Value::Const(index) => Ok(Self(index)),
            Value::Slot { .. } => Err(Problem::other(node.at, "a region is known before the run")),
        }
    }

    fn spec() -> Spec {
        Spec::Value
    }
}

/// A place in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Offset {
    /// From the start of the file.
    pub value: Value,
    /// The region of a device, where one is named.
    region: Option<u64>,
}

impl Offset {
    /// A place in a region, or in a file.
    pub fn new(region: Option<Region>, offset: Option<&Value>) -> Self {
        let region = region.map(|region| region.0);
        let base = region.unwrap_or(0) << REGION_SHIFT;
        let value = match offset {
            None => Value::Const(base),
            Some(Value::Const(offset)) => Value::Const(base.wrapping_add(*offset)),
            Some(Value::Slot { name, add }) => Value::Slot {
                name: name.clone(),
                add: add.wrapping_add(base),
            },
        };
        Self { value, region }
    }

    /// The region of a device: the one that is named, or the one in which the offset lies. Before
    /// the first one ends it may be any file.
    pub fn region(&self) -> Option<u64> {
        let (Value::Const(offset) | Value::Slot { add: offset, .. }) = &self.value;
        let within = offset >> REGION_SHIFT;
        self.region.or((within != 0).then_some(within))
    }

    /// How far it is behind an address that is aligned to a page, as far as that is known.
    fn known(&self) -> Option<u64> {
        match self.value {
            Value::Const(offset) => Some(offset),
            Value::Slot { .. } => None,
        }
    }
}

/// What a step has to do with registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registers<'a> {
    /// Nothing.
    Untouched,
    /// It maps them under this name.
    Mapped(&'a str),
    /// It accesses what lies so far behind a name, which may be that of a mapping.
    Reached {
        /// The name.
        name: &'a str,
        /// How far behind it.
        offset: u64,
        /// How much at once.
        width: Width,
    },
    /// It copies what lies behind a name, in pieces of its own choice.
    Copied(&'a str),
}

impl<'a> Registers<'a> {
    /// An access of one width.
    pub fn reached(at: &'a Value, width: Width) -> Self {
        match at {
            Value::Slot { name, add } => Self::Reached {
                name,
                offset: *add,
                width,
            },
            Value::Const(_) => Self::Untouched,
        }
    }
}

/// What is wrong with an access to registers, and what helps.
pub fn wrong_access(offset: u64, width: Width) -> Option<(&'static str, &'static str)> {
    if width == Width::W8 {
        return Some(("8 bytes of a device are not one access everywhere", TWICE));
    }
    let aligned = offset.is_multiple_of(width.bytes() as u64);
    (!aligned).then_some(("an access that is not aligned is several", ALIGNED))
}

fn has_registers(at: &Offset) -> bool {
    at.region()
        .is_some_and(|index| index <= LAST_BAR || index == VGA)
}

/// Checks that what is read or written as one number is one access.
///
/// # Errors
/// When it is 8 bytes of a BAR, or not aligned.
pub fn check_number(place: &Offset, width: Width, at: At) -> Result<(), Problem> {
    if !has_registers(place) {
        return Ok(());
    }
    match wrong_access(place.known().unwrap_or(0), width) {
        None => Ok(()),
        Some((text, help)) => Err(Problem::other(at, text).help(help)),
    }
}

/// Checks that a run of bytes that is more than one access is memory.
///
/// # Errors
/// When the case does not say so.
pub fn check_run(place: &Offset, length: u64, memory: bool, at: At) -> Result<(), Problem> {
    if !has_registers(place) || length <= WIDEST || memory {
        return Ok(());
    }
    let text = "in how many accesses a device sees more than 4 bytes is not the same everywhere";
    let help = format!("say `memory: true` where it is no register, or {TWICE}");
    Err(Problem::other(at, text).help(help))
}
