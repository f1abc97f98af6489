//! `memory`, `mmap`, `munmap`, `load`, `store`, `touch`, `peek`.

use wire::{Access, Memory as Kind, Op, Value, Width};

use crate::{
    build::Builder,
    expect::{Expect, FieldWant, Layout, Want, WantData, WantEnd},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    steps::{ioctl, registers::Registers, step::read_errno},
    value,
};

/// Byte that fills memory unless a case says otherwise: an untouched page is recognised.
pub const FILL: u8 = 0xa5;

/// `memory: {page: 0x1000, ranges: {size: 0x1000, fill: 0, kind: shared, put: [...]}}`
#[derive(Debug, Clone, PartialEq)]
pub struct Memory(Vec<Area>);

#[derive(Debug, Clone, PartialEq)]
struct Area {
    slot: String,
    kind: Kind,
    length: u64,
    fill: u8,
    put: Vec<(u64, Width, Value)>,
}

impl Memory {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut areas = Vec::new();
        for (name, node) in body.entries()? {
            value::check_name(
                &Node {
                    at: name.at,
                    tree: Tree::Null,
                },
                &name.text,
            )?;
            areas.push(Area::read(&name.text, node)?);
        }
        Ok(Self(areas))
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|area| area.slot.as_str()).collect();
        format!("memory {}", names.join(", "))
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for area in &self.0 {
            if area.kind == Kind::Huge {
                to.cast.need_feature(Some("hugepages"))?;
            }
            to.prepare(Op::Alloc {
                memory: area.kind,
                length: area.length,
                fill: area.fill,
                save: area.slot.clone(),
            });
            for (offset, width, put) in &area.put {
                let at = Value::Slot {
                    name: area.slot.clone(),
                    add: *offset,
                };
                to.prepare(Op::Store {
                    at,
                    width: *width,
                    value: put.clone(),
                });
            }
        }
        Ok(())
    }
}

impl Area {
    fn read(slot: &str, node: &Node) -> Result<Self, Problem> {
        let slot = slot.to_owned();
        if let Tree::Int(length) = node.tree {
            return Ok(Self {
                slot,
                kind: Kind::Anonymous,
                length,
                fill: FILL,
                put: Vec::new(),
            });
        }
        let mut fields = Fields::of(node, "memory")?;
        let length = fields.number("size")?.unwrap_or(0x1000);
        let kind = fields.take("kind").map_or(Ok(Kind::Anonymous), read_kind)?;
        let put = fields.take("put").map_or(Ok(Vec::new()), read_put)?;
        let fill = if put.is_empty() { u64::from(FILL) } else { 0 };
        let fill = fields.number("fill")?.unwrap_or(fill) as u8;
        fields.finish()?;
        Ok(Self {
            slot,
            kind,
            length,
            fill,
            put,
        })
    }
}

fn read_kind(node: &Node) -> Result<Kind, Problem> {
    match node.text()? {
        "anonymous" => Ok(Kind::Anonymous),
        "shared" => Ok(Kind::Shared),
        "read_only" => Ok(Kind::ReadOnly),
        "no_access" => Ok(Kind::NoAccess),
        "huge" => Ok(Kind::Huge),
        other => {
            let known = ["anonymous", "shared", "read_only", "no_access", "huge"];
            Err(Problem::unknown_name(
                node.at,
                "kind of memory",
                other,
                known,
            ))
        }
    }
}

/// `put: [{struct: iommu_iova_range, start: 0, last: 0xfff}, ...]`, one after the other.
fn read_put(node: &Node) -> Result<Vec<(u64, Width, Value)>, Problem> {
    let mut puts = Vec::new();
    let mut base = 0;
    for item in node.items() {
        let layout = read_struct(item)?;
        for (key, value_node) in item
            .entries()?
            .iter()
            .filter(|(key, _)| key.text != "struct")
        {
            let field = layout.field(&key.text).ok_or_else(|| {
                let known = layout.fields.iter().map(|field| field.name);
                Problem::unknown_key(key.at, &key.text, layout.name, known)
            })?;
            let width = ioctl::width_of(field);
            let put = value::field_value(value_node, field)?;
            puts.push((base + u64::from(field.offset), width, put));
        }
        base += u64::from(layout.size);
    }
    Ok(puts)
}

fn read_struct(item: &Node) -> Result<&'static uapi::Struct, Problem> {
    let entries = item.entries()?;
    let node = entries
        .iter()
        .find(|(key, _)| key.text == "struct")
        .map(|(_, node)| node);
    let node = node.ok_or_else(|| Problem::missing(item.at, "struct", "a struct in memory"))?;
    ioctl::read_struct(node)
}

/// `mmap: {on: a, region: VFIO_PCI_BAR0_REGION_INDEX, length: 0x1000, save: bar, errno: EINVAL}`
#[derive(Debug, Clone, PartialEq)]
pub struct Mmap {
    on: String,
    offset: Offset,
    length: u64,
    access: Access,
    save: String,
    end: WantEnd,
}

impl Mmap {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "mmap")?;
        let on = fields.need("on")?.text()?.to_owned();
        let offset = read_offset(&mut fields)?;
        let length = fields.number("length")?.unwrap_or(0x1000);
        let access = match fields.take("access") {
            None => Access::ReadWrite,
            Some(node) => match node.text()? {
                "read_write" => Access::ReadWrite,
                "read_only" => Access::ReadOnly,
                "copy_on_write" => Access::CopyOnWrite,
                "execute" => Access::Execute,
                other => {
                    let known = ["read_write", "read_only", "copy_on_write", "execute"];
                    return Err(Problem::unknown_name(node.at, "access", other, known));
                }
            },
        };
        let save = fields.text("save")?.unwrap_or("mapping").to_owned();
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            on,
            offset,
            length,
            access,
            save,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("mmap of {}", self.on)
    }

    /// What it has to do with registers.
    #[must_use]
    pub fn registers(&self) -> Registers<'_> {
        match self.offset.region() {
            Some(_) => Registers::Mapped(&self.save),
            None => Registers::Untouched,
        }
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Mmap {
            fd: Value::Slot {
                name: self.on.clone(),
                add: 0,
            },
            offset: self.offset.value.clone(),
            length: self.length,
            access: self.access,
            save: self.save.clone(),
        };
        to.push(op, Expect::ending(self.end.clone()), Layout::Nothing);
        Ok(())
    }
}

/// vfio-pci gives each region the file offset `index << 40`.
const REGION_SHIFT: u32 = 40;

/// A place in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Offset {
    /// From the start of the file.
    pub value: Value,
    /// The region of a device, where one is named.
    region: Option<u64>,
}

impl Offset {
    /// The region of a device: the one that is named, or the one in which the offset lies. Before
    /// the first one ends it may be any file.
    #[must_use]
    pub fn region(&self) -> Option<u64> {
        let (Value::Const(offset) | Value::Slot { add: offset, .. }) = &self.value;
        let within = offset >> REGION_SHIFT;
        self.region.or((within != 0).then_some(within))
    }

    /// How far it is behind an address that is aligned to a page, as far as that is known.
    #[must_use]
    pub fn known(&self) -> Option<u64> {
        match self.value {
            Value::Const(offset) => Some(offset),
            Value::Slot { .. } => None,
        }
    }
}

/// Reads `region: INDEX` (plus `offset:` within it), or a bare `offset:`.
///
/// # Errors
/// With the first thing that is wrong.
pub fn read_offset(fields: &mut Fields<'_>) -> Result<Offset, Problem> {
    let region = match fields.take("region").map(value::value).transpose()? {
        None => None,
        Some(Value::Const(index)) => Some(index),
        Some(Value::Slot { .. }) => {
            return Err(Problem::other(
                fields.at(),
                "a region is known before the run",
            ));
        }
    };
    let base = region.unwrap_or(0) << REGION_SHIFT;
    let value = match fields.take("offset").map(value::value).transpose()? {
        None => Value::Const(base),
        Some(Value::Const(offset)) => Value::Const(base.wrapping_add(offset)),
        Some(Value::Slot { name, add }) => Value::Slot {
            name,
            add: add.wrapping_add(base),
        },
    };
    Ok(Offset { value, region })
}

/// `munmap: {at: $bar, length: 0x1000}`
#[derive(Debug, Clone, PartialEq)]
pub struct Munmap {
    at: Value,
    length: u64,
}

impl Munmap {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "munmap")?;
        let at = value::value(fields.need("at")?)?;
        let length = fields.number("length")?.unwrap_or(0x1000);
        fields.finish()?;
        Ok(Self { at, length })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        "munmap".to_owned()
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Munmap {
            at: self.at.clone(),
            length: self.length,
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

fn read_width(fields: &mut Fields<'_>) -> Result<Width, Problem> {
    let at = fields.at();
    let bytes = fields.number("width")?.unwrap_or(4);
    Width::of(bytes).ok_or_else(|| Problem::expected(at, "width 1, 2, 4 or 8", &bytes.to_string()))
}

fn read_signal(fields: &mut Fields<'_>) -> Result<WantEnd, Problem> {
    let signal = fields.take("signal").map(value::signal).transpose()?;
    Ok(signal.map_or(WantEnd::Success, WantEnd::Signal))
}

/// `load: {at: $bar, width: 4, expect: 0x1, signal: SIGBUS}`
#[derive(Debug, Clone, PartialEq)]
pub struct Load {
    at: Value,
    width: Width,
    expect: Option<crate::expect::Want>,
    end: WantEnd,
}

impl Load {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "load")?;
        let at = value::value(fields.need("at")?)?;
        let width = read_width(&mut fields)?;
        let expect = fields
            .take("expect")
            .map(|node| ioctl::read_want(node, value::value));
        let expect = expect.transpose()?;
        let end = read_signal(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            at,
            width,
            expect,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("load from {}", ioctl::show(&self.at))
    }

    /// What it has to do with registers.
    #[must_use]
    pub fn registers(&self) -> Registers<'_> {
        Registers::reached(&self.at, self.width)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::ending(self.end.clone());
        expect.returns.clone_from(&self.expect);
        to.push(
            Op::Load {
                at: self.at.clone(),
                width: self.width,
            },
            expect,
            Layout::Bytes,
        );
        Ok(())
    }
}

/// `store: {at: $bar, width: 4, value: 1, signal: SIGBUS}`
#[derive(Debug, Clone, PartialEq)]
pub struct Store {
    at: Value,
    width: Width,
    value: Value,
    end: WantEnd,
}

impl Store {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "store")?;
        let at = value::value(fields.need("at")?)?;
        let width = read_width(&mut fields)?;
        let value = value::value(fields.need("value")?)?;
        let end = read_signal(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            at,
            width,
            value,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("store to {}", ioctl::show(&self.at))
    }

    /// What it has to do with registers.
    #[must_use]
    pub fn registers(&self) -> Registers<'_> {
        Registers::reached(&self.at, self.width)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::Store {
            at: self.at.clone(),
            width: self.width,
            value: self.value.clone(),
        };
        to.push(op, Expect::ending(self.end.clone()), Layout::Nothing);
        Ok(())
    }
}

/// `touch: {at: $bar, faults: 1}`: whether the page was there (0), or the kernel had to put it into
/// the page table (1).
#[derive(Debug, Clone, PartialEq)]
pub struct Touch {
    at: Value,
    faults: u64,
}

impl Touch {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "touch")?;
        let at = value::value(fields.need("at")?)?;
        let node = fields.need("faults")?;
        let faults = node.number()?;
        if faults > 1 {
            let known = "0, where the page is there, or 1, where it is not";
            return Err(Problem::expected(node.at, known, &faults.to_string()));
        }
        fields.finish()?;
        Ok(Self { at, faults })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let page = if self.faults == 0 { "there" } else { "absent" };
        format!("touch {}, {page}", ioctl::show(&self.at))
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(self.faults)));
        let op = Op::Touch {
            at: self.at.clone(),
        };
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }
}

/// `peek: {at: $page, length: 0x1000, all: 0xa5}` or
/// `peek: {at: $x, struct: S, expect: {...}, save: {field: name}}`
#[derive(Debug, Clone, PartialEq)]
pub struct Peek {
    at: Value,
    length: u64,
    data: WantData,
    fields: Vec<FieldWant>,
    saves: Vec<wire::Save>,
    layout: Layout,
}

impl Peek {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "peek")?;
        let at = value::value(fields.need("at")?)?;
        if let Some(node) = fields.take("struct") {
            return Self::read_struct(at, node, fields);
        }
        let length = fields.number("length")?.unwrap_or(0x1000);
        let all = fields.number("all")?.map(|byte| WantData::All(byte as u8));
        let changed = fields
            .number("changed")?
            .map(|byte| WantData::Changed(byte as u8));
        let missing = Problem::missing(fields.at(), "all`, `changed` or `struct", "peek");
        let data = all.or(changed).ok_or(missing)?;
        fields.finish()?;
        Ok(Self {
            at,
            length,
            data,
            fields: Vec::new(),
            saves: Vec::new(),
            layout: Layout::Nothing,
        })
    }

    fn read_struct(at: Value, node: &Node, mut fields: Fields<'_>) -> Result<Self, Problem> {
        let layout = ioctl::read_struct(node)?;
        let wants = ioctl::read_field_wants(fields.need("expect")?, layout, 0)?;
        let saves = ioctl::read_saves(&mut fields, Some(layout), None, "peek")?;
        fields.finish()?;
        let (length, data) = (u64::from(layout.size), WantData::Anything);
        Ok(Self {
            at,
            length,
            data,
            fields: wants,
            saves,
            layout: Layout::Struct(layout),
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("peek at {}", ioctl::show(&self.at))
    }

    /// What it has to do with registers.
    #[must_use]
    pub fn registers(&self) -> Registers<'_> {
        match &self.at {
            Value::Slot { name, .. } => Registers::Copied(name),
            Value::Const(_) => Registers::Untouched,
        }
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.data = self.data.clone();
        expect.fields.clone_from(&self.fields);
        let op = Op::Peek {
            at: self.at.clone(),
            length: self.length,
            save: self.saves.clone(),
        };
        to.push(op, expect, self.layout);
        Ok(())
    }
}
