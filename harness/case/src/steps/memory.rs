//! Memory of the process, regions of devices, and memfds.

use wire::{Access, MemoryKind, MemoryOp, NewFd, NewMapping, Value, Width};

use crate::{
    build::Builder,
    expect::{Expect, FieldWant, Layout, Want, WantData},
    input::{Ends, Input, Named, Raises, SlotName, Word, body, newtype, resolved, words},
    node::{At, Node, Tree},
    problem::Problem,
    spec::{Key, Presence, Spec},
    steps::{
        Action,
        ioctl::{
            fields::{FieldWants, Saves, read_struct, width_of},
            layout,
            since::{need_expected, need_field},
        },
        registers::{Offset, Region, Registers},
    },
    value::{self, show},
};

words!(MemoryKind, Access, Seal);

/// Default byte that fills memory, so that an unchanged page is recognized.
const FILL: u8 = 0xa5;

newtype! {
    /// `memory: {page: 0x1000, ranges: {size: 0x1000, fill: 0, kind: shared, put: [...]}}`
    ///
    /// Memory of the kind `pieces` has pages that follow one another in physical memory for one to
    /// nine pages at a time, which makes the kernel's batches of pages begin and end within it. It
    /// has at most 1 MiB.
    pub struct Memory(Named<Area>);
}

body! {
    /// An area of memory.
    pub struct Area in "memory", or(Area::short, Spec::Number) {
        /// Its size in bytes.
        size: u64 = 0x1000,
        /// What kind of memory it is.
        kind: MemoryKind = MemoryKind::Anonymous,
        /// Structs to put into it, one after the other.
        put: Vec<Put>,
        /// Value of all other bytes. Default: 0xa5, or 0 if `put` is given.
        fill: Option<u64>,
    }
}

impl Area {
    fn short(node: &Node) -> Result<Option<Self>, Problem> {
        Ok(match node.tree {
            Tree::Int(size) => Some(Self {
                size,
                kind: MemoryKind::Anonymous,
                put: Vec::new(),
                fill: None,
            }),
            _ => None,
        })
    }

    fn fill(&self) -> u8 {
        let usual = if self.put.is_empty() { FILL } else { 0 };
        self.fill.map_or(usual, |fill| fill as u8)
    }
}

impl Word for MemoryKind {
    const WHAT: &'static str = "kind of memory";
    const ALL: &'static [(&'static str, Self)] = &[
        ("anonymous", Self::Anonymous),
        ("shared", Self::Shared),
        ("read_only", Self::ReadOnly),
        ("no_access", Self::NoAccess),
        ("huge", Self::Huge),
        ("pieces", Self::Pieces),
        ("low", Self::Low),
    ];
}

/// `{struct: iommu_iova_range, start: 0, last: 0xfff}`
#[derive(Debug, Clone, PartialEq)]
pub struct Put {
    layout: &'static uapi::Struct,
    values: Vec<(&'static uapi::Field, Value)>,
}

impl Input for Put {
    fn read(node: &Node) -> Result<Self, Problem> {
        let entries = node.entries()?;
        let named = entries.iter().find(|(key, _)| key.text == "struct");
        let missing = || Problem::missing(node.at, "struct", "a struct in memory");
        let layout = read_struct(&named.ok_or_else(missing)?.1)?;
        let mut values = Vec::new();
        for (key, node) in entries.iter().filter(|(key, _)| key.text != "struct") {
            let field = layout.field(&key.text).ok_or_else(|| {
                let known = layout.fields.iter().map(|field| field.name);
                Problem::unknown_key(key.at, &key.text, layout.name, known)
            })?;
            let value = value::field_value(node, field)?;
            values.push((field, value));
        }
        Ok(Self { layout, values })
    }

    fn spec() -> Spec {
        Spec::Struct
    }
}

impl Action for Memory {
    fn label(&self) -> String {
        format!("memory {}", self.0.names())
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (name, area) in &self.0.0 {
            if area.kind == MemoryKind::Huge {
                to.roles.need_feature(Some("hugepages"))?;
            }
            to.prepare(MemoryOp::Alloc {
                kind: area.kind,
                fill: area.fill(),
                save: mapping(name, area.size),
            });
            area.compile_puts(name, to)?;
        }
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

impl Area {
    fn compile_puts(&self, name: &SlotName, to: &mut Builder<'_>) -> Result<(), String> {
        let mut base = 0;
        for put in &self.put {
            for (field, value) in &put.values {
                let value = to.roles.declared_value(value.clone())?;
                if let Value::Const(number) = value {
                    need_field(to.roles, put.layout, field, number)?;
                }
                let at = Value::Slot {
                    name: name.0.clone(),
                    add: base + u64::from(field.offset),
                };
                to.prepare(MemoryOp::Store {
                    at,
                    width: width_of(field),
                    value,
                });
            }
            base += u64::from(put.layout.size);
        }
        Ok(())
    }
}

fn mapping(name: &SlotName, length: u64) -> NewMapping {
    let slot = name.0.clone();
    NewMapping { length, slot }
}

body! {
    /// `mmap: {on: a, region: VFIO_PCI_BAR0_REGION_INDEX, length: 0x1000, save: bar, errno: EINVAL}`
    pub struct Mmap in "mmap" {
        /// The descriptor of the device to map.
        on: SlotName,
        /// The region of the device.
        region: Option<Region>,
        /// Where in the region, or in the file.
        offset: Option<Value>,
        /// How many bytes.
        length: u64 = 0x1000,
        /// Accesses that the mapping allows.
        access: Access = Access::ReadWrite,
        /// The name for the address.
        save: SlotName = SlotName("mapping".to_owned()),
        /// How the call ends.
        errno: Ends,
    }
}

impl Word for Access {
    const WHAT: &'static str = "access";
    const ALL: &'static [(&'static str, Self)] = &[
        ("read_write", Self::ReadWrite),
        ("read_only", Self::ReadOnly),
        ("copy_on_write", Self::CopyOnWrite),
        ("execute", Self::Execute),
    ];
}

impl Mmap {
    fn place(&self) -> Offset {
        Offset::new(self.region, self.offset.as_ref())
    }
}

impl Action for Mmap {
    fn label(&self) -> String {
        format!("mmap of {}", self.on)
    }

    fn registers(&self) -> Registers<'_> {
        match self.place().region() {
            Some(_) => Registers::Mapped(&self.save.0),
            None => Registers::Untouched,
        }
    }

    fn is_one_call(&self) -> bool {
        true
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = MemoryOp::Mmap {
            fd: self.on.fd(),
            offset: self.place().value,
            access: self.access,
            save: mapping(&self.save, self.length),
        };
        to.push(op, Expect::ending(self.errno.0.clone()), Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `munmap: {at: $bar, length: 0x1000}`
    pub struct Munmap in "munmap" {
        /// The start of the mapping.
        at: Value,
        /// How many bytes.
        length: u64 = 0x1000,
    }
}

impl Action for Munmap {
    fn label(&self) -> String {
        "munmap".to_owned()
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = MemoryOp::Munmap {
            at: self.at.clone(),
            length: self.length,
        };
        to.push(op, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `load: {at: $bar, width: 4, expect: 0x1, signal: SIGBUS}`
    pub struct Load in "load" {
        /// The address to load from.
        at: Value,
        /// Width of the access in bytes.
        width: Width = Width::W4,
        /// The expected value.
        expect: Option<Want>,
        /// The signal that the load raises.
        signal: Raises,
    }
}

impl Action for Load {
    fn label(&self) -> String {
        format!("load from {}", show(&self.at))
    }

    fn registers(&self) -> Registers<'_> {
        Registers::reached(&self.at, self.width)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::ending(self.signal.0.clone());
        expect.returns.clone_from(&self.expect);
        let op = MemoryOp::Load {
            at: self.at.clone(),
            width: self.width,
        };
        to.push(op, expect, Layout::Bytes);
        Ok(())
    }
}

body! {
    /// `store: {at: $bar, width: 4, value: 1, signal: SIGBUS}`
    pub struct Store in "store" {
        /// The address to store to.
        at: Value,
        /// Width of the access in bytes.
        width: Width = Width::W4,
        /// What to store.
        value: Value,
        /// The signal that the store raises.
        signal: Raises,
    }
}

impl Action for Store {
    fn label(&self) -> String {
        format!("store to {}", show(&self.at))
    }

    fn registers(&self) -> Registers<'_> {
        Registers::reached(&self.at, self.width)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = MemoryOp::Store {
            at: self.at.clone(),
            width: self.width,
            value: self.value.clone(),
        };
        to.push(op, Expect::ending(self.signal.0.clone()), Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `count_faults: {at: $bar, faults: 1}`
    ///
    /// A mapping of a region is filled page by page on access. If the kernel has removed a page,
    /// the next access takes a fault that puts it back.
    pub struct CountFaults in "count_faults" if CountFaults::check {
        /// The address of the load.
        at: Value,
        /// 0 if the page is in the page table, 1 if the kernel has to put it there.
        faults: u64,
    }
}

impl CountFaults {
    fn check(&self, at: At) -> Result<(), Problem> {
        if self.faults <= 1 {
            return Ok(());
        }
        let known = "0 if the page is in the page table, or 1 if it is not";
        Err(Problem::expected(at, known, &self.faults.to_string()))
    }
}

impl Action for CountFaults {
    fn label(&self) -> String {
        format!("count_faults {}, {}", show(&self.at), self.faults)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(self.faults)));
        let at = self.at.clone();
        to.push(MemoryOp::CountFaults { at }, expect, Layout::Nothing);
        Ok(())
    }
}

/// `peek: {at: $page, length: 0x1000, all: 0xa5}` or
/// `peek: {at: $x, struct: S, expect: {...}, save: {field: name}}`, with `layout: {field: u32}` in
/// place of `struct` for one that the tables do not have
#[derive(Debug, Clone)]
pub enum Peek {
    /// The bytes, or a number made of them.
    Bytes(PeekBytes),
    /// The fields of a struct.
    Struct(PeekStruct),
}

body! {
    /// Bytes of memory.
    pub struct PeekBytesBody in "peek" {
        /// The address to look at.
        at: Value,
        /// How many bytes.
        length: u64 = 0x1000,
        /// What every byte is.
        all: Option<u64>,
        /// Value from which at least one byte has to differ.
        changed: Option<u64>,
    }
}

/// Bytes of memory, with their expected values.
#[derive(Debug, Clone)]
pub struct PeekBytes {
    at: Value,
    length: u64,
    data: WantData,
}

resolved! {
    PeekBytes from PeekBytesBody;
}

impl PeekBytes {
    fn new(body: PeekBytesBody, at: At) -> Result<Self, Problem> {
        let all = body.all.map(|byte| WantData::All(byte as u8));
        let changed = body.changed.map(|byte| WantData::Changed(byte as u8));
        let missing = || Problem::missing(at, "all`, `changed` or `struct", "peek");
        Ok(Self {
            at: body.at,
            length: body.length,
            data: all.or(changed).ok_or_else(missing)?,
        })
    }
}

/// A struct in memory: one of the uAPI, or one whose layout the case gives.
#[derive(Debug, Clone, PartialEq)]
pub struct PeekStruct {
    at: Value,
    layout: &'static uapi::Struct,
    expect: Vec<FieldWant>,
    save: Vec<wire::Save>,
}

impl PeekStruct {
    fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = crate::fields::Fields::of(node, "peek")?;
        let at = value::value(fields.need("at")?)?;
        let layout = Self::read_layout(node, &mut fields)?;
        let expect = FieldWants::read(fields.need("expect")?, layout)?;
        let save = Saves::read(&mut fields, Some(layout), None, "peek")?;
        fields.finish()?;
        Ok(Self {
            at,
            layout,
            expect,
            save,
        })
    }

    fn read_layout(
        node: &Node,
        fields: &mut crate::fields::Fields<'_>,
    ) -> Result<&'static uapi::Struct, Problem> {
        let given = fields.take("layout");
        match (fields.take("struct"), given) {
            (Some(name), None) => read_struct(name),
            (None, Some(given)) => match layout::read("layout", given)? {
                layout if layout.size > 0 => Ok(layout),
                _ => Err(Problem::other(given.at, "the layout has no field")),
            },
            (Some(_), Some(given)) => {
                let text = "the layout is that of `struct`; give one of the two";
                Err(Problem::other(given.at, text))
            }
            (None, None) => Err(Problem::missing(node.at, "struct` or `layout", "peek")),
        }
    }

    fn spec() -> Spec {
        let key = |name: &str, help: &str, spec, presence| Key {
            name: name.to_owned(),
            help: help.to_owned(),
            spec,
            presence,
        };
        let names = uapi::structs().iter().map(|layout| layout.name).collect();
        let required = Presence::Required;
        Spec::Mapping(vec![
            key("at", "The address.", Spec::Value, required.clone()),
            key(
                "struct",
                "The struct.",
                Spec::Words(names),
                Presence::Optional,
            ),
            key(
                "layout",
                "The fields of a struct that the tables do not have, each with its type, as those of `ioctl`.",
                layout::spec(),
                Presence::Optional,
            ),
            key(
                "expect",
                "Expected values of its fields.",
                Spec::Fields(Box::new(Spec::Expected)),
                required,
            ),
            key(
                "save",
                "Fields to save, each under a name.",
                Spec::Fields(Box::new(Spec::Name)),
                Presence::Optional,
            ),
        ])
    }
}

impl Input for Peek {
    fn read(node: &Node) -> Result<Self, Problem> {
        let of_struct = ["struct", "layout"];
        let mut keys = node.entries()?.iter();
        let is_struct = keys.any(|(key, _)| of_struct.contains(&key.text.as_str()));
        match is_struct {
            true => PeekStruct::read(node).map(Self::Struct),
            false => PeekBytes::read(node).map(Self::Bytes),
        }
    }

    fn spec() -> Spec {
        Spec::Either(vec![PeekBytes::spec(), PeekStruct::spec()])
    }

    fn doc() -> &'static str {
        "`peek: {at: $page, length: 0x1000, all: 0xa5}` or\n\
         `peek: {at: $x, struct: S, expect: {...}, save: {field: name}}`, or with\n\
         `layout: {field: u32}` in place of `struct`."
    }
}

impl Peek {
    fn at(&self) -> &Value {
        match self {
            Self::Bytes(bytes) => &bytes.at,
            Self::Struct(of) => &of.at,
        }
    }
}

impl Action for Peek {
    fn label(&self) -> String {
        format!("peek at {}", show(self.at()))
    }

    fn registers(&self) -> Registers<'_> {
        match self.at() {
            Value::Slot { name, .. } => Registers::Copied(name),
            Value::Const(_) => Registers::Untouched,
        }
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let mut expect = Expect::SUCCESS;
        let (length, save, layout) = match self {
            Self::Bytes(bytes) => {
                expect.data = bytes.data.clone();
                (bytes.length, Vec::new(), Layout::Nothing)
            }
            Self::Struct(of) => {
                need_expected(to.roles, of.layout, &of.expect)?;
                expect.fields.clone_from(&of.expect);
                (
                    of.layout.size.into(),
                    of.save.clone(),
                    Layout::Struct(of.layout),
                )
            }
        };
        let at = self.at().clone();
        to.push(MemoryOp::Peek { at, length, save }, expect, layout);
        Ok(())
    }
}

newtype! {
    /// `memfd: {file: 0x4000, other: {size: 0x4000, hole: true, seals: [SHRINK], huge: true}}`
    pub struct Memfd(Named<MemoryFile>);
}

body! {
    /// A file in memory, by `memfd_create(2)`.
    pub struct MemoryFile in "memfd", or(MemoryFile::short, Spec::Number) {
        /// Its size in bytes.
        size: u64 = 0x1000,
        /// Value of every byte.
        fill: u64 = u64::from(FILL),
        /// Whether the file is a hole, without pages.
        hole: bool,
        /// Whether it has huge pages.
        huge: bool,
        /// Seals to add to it.
        seals: Vec<Seal>,
    }
}

/// `F_SEAL_*` of `linux/fcntl.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seal(u32);

impl Word for Seal {
    const WHAT: &'static str = "seal";
    const ALL: &'static [(&'static str, Self)] = &[
        ("SEAL", Self(0x1)),
        ("SHRINK", Self(0x2)),
        ("GROW", Self(0x4)),
        ("WRITE", Self(0x8)),
        ("FUTURE_WRITE", Self(0x10)),
    ];
}

impl MemoryFile {
    fn short(node: &Node) -> Result<Option<Self>, Problem> {
        Ok(match node.tree {
            Tree::Int(size) => Some(Self {
                size,
                fill: FILL.into(),
                hole: false,
                huge: false,
                seals: Vec::new(),
            }),
            _ => None,
        })
    }
}

impl Action for Memfd {
    fn label(&self) -> String {
        format!("memfd {}", self.0.names())
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (name, file) in &self.0.0 {
            if file.huge {
                to.roles.need_feature(Some("hugepages"))?;
            }
            to.prepare(MemoryOp::Memfd {
                size: file.size,
                fill: (!file.hole).then_some(file.fill as u8),
                seals: file.seals.iter().fold(0, |bits, seal| bits | seal.0),
                huge: file.huge,
                save: NewFd(name.0.clone()),
            });
        }
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

body! {
    /// `udmabuf: {save: buffer, of: $file, offset: 0, size: 0x1000, errno: EINVAL}`
    pub struct Udmabuf in "udmabuf" {
        /// The name for the descriptor.
        save: SlotName,
        /// The memfd; it has to be sealed against shrinking.
        of: SlotName,
        /// Offset in the file.
        offset: u64 = 0,
        /// How many bytes.
        size: u64 = 0x1000,
        /// How the call ends.
        errno: Ends,
    }
}

impl Action for Udmabuf {
    fn label(&self) -> String {
        format!("udmabuf {}", self.save)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.roles.need_feature(Some("udmabuf"))?;
        let op = MemoryOp::Udmabuf {
            file: self.of.fd(),
            offset: self.offset,
            size: self.size,
            save: NewFd(self.save.0.clone()),
        };
        to.push(op, Expect::ending(self.errno.0.clone()), Layout::Nothing);
        Ok(())
    }
}
