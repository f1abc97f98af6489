//! Registers of a device, and the allowed widths of an access.
//!
//! Under KVM, QEMU passes 8 bytes on as two accesses of 4 (`flatview_write()` uses the width that a
//! device declares valid, which defaults to 4), and under TCG as one. A processor splits unaligned
//! accesses. If writing a register has a side effect, the results differ. So one access has 1, 2 or
//! 4 aligned bytes. Memory that is not a register, such as nvme's controller memory buffer, may be
//! read and written as a run of bytes if the case says so with `memory: true`.

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
const TWICE: &str = "use two accesses of 4 bytes, in the order that the device requires";
const ALIGNED: &str = "use aligned accesses, of single bytes if necessary";

/// The index of a region, known before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region(u64);

impl Input for Region {
    fn read(node: &Node) -> Result<Self, Problem> {
        match value::value(node)? {
            Value::Const(index) => Ok(Self(index)),
            Value::Slot { .. } => Err(Problem::other(
                node.at,
                "a region has to be known before \
                the run",
            )),
        }
    }

    fn spec() -> Spec {
        Spec::Value
    }
}

/// An offset in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Offset {
    /// From the start of the file.
    pub value: Value,
    /// The region of a device, if one is given.
    region: Option<u64>,
}

impl Offset {
    /// Returns an offset in a region, or in a file.
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

    /// Returns the region of a device: the given one, or the one that contains the offset. An
    /// offset within the first region may also be in any other file.
    pub fn region(&self) -> Option<u64> {
        let (Value::Const(offset) | Value::Slot { add: offset, .. }) = &self.value;
        let within = offset >> REGION_SHIFT;
        self.region.or((within != 0).then_some(within))
    }

    /// Returns the offset from a page-aligned address, if it is known.
    fn known(&self) -> Option<u64> {
        match self.value {
            Value::Const(offset) => Some(offset),
            Value::Slot { .. } => None,
        }
    }
}

/// How a step uses registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registers<'a> {
    /// The step touches no register.
    Untouched,
    /// It maps them under this name.
    Mapped(&'a str),
    /// It accesses this offset behind a name, which may be that of a mapping.
    Reached {
        /// Name of the mapping.
        name: &'a str,
        /// Offset in the mapping, in bytes.
        offset: u64,
        /// Width of the access.
        width: Width,
    },
    /// It copies data behind a name, in pieces of any width.
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

/// Returns the error of an access to registers and how to fix it, if it is not a single access
/// everywhere.
pub fn wrong_access(offset: u64, width: Width) -> Option<(&'static str, &'static str)> {
    if width == Width::W8 {
        return Some(("some machines split an access of 8 bytes", TWICE));
    }
    let aligned = offset.is_multiple_of(width.bytes() as u64);
    (!aligned).then_some(("an unaligned access is split", ALIGNED))
}

fn has_registers(at: &Offset) -> bool {
    at.region()
        .is_some_and(|index| index <= LAST_BAR || index == VGA)
}

/// Checks that a number is read or written in one access.
///
/// # Errors
/// If it has 8 bytes of a BAR, or is not aligned.
pub fn check_number(place: &Offset, width: Width, at: At) -> Result<(), Problem> {
    if !has_registers(place) {
        return Ok(());
    }
    match wrong_access(place.known().unwrap_or(0), width) {
        None => Ok(()),
        Some((text, help)) => Err(Problem::other(at, text).help(help)),
    }
}

/// Checks that a run of bytes longer than one access is memory.
///
/// # Errors
/// If the case does not say so.
pub fn check_run(place: &Offset, length: u64, memory: bool, at: At) -> Result<(), Problem> {
    if !has_registers(place) || length <= WIDEST || memory {
        return Ok(());
    }
    let text = "how more than 4 bytes are split into accesses depends on the machine";
    let help = format!("set `memory: true` if this is not a register, or {TWICE}");
    Err(Problem::other(at, text).help(help))
}
