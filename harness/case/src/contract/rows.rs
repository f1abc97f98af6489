//! The malformed calls, from the table of the uAPI.

use std::iter;

use uapi::{Arg, Constant, Dir, Element, Field, Ioctl, Kind, Object, Series, Since, Struct, Tail};

use crate::{
    contract::errno_rules::Defect,
    node::{Node, Tree},
    problem::Problem,
    steps::ioctl::{
        Newer, Unnamed,
        payload::{element_of, payload_of},
    },
    value,
};

/// One test: calls with the same defect.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Name in the id of the test.
    pub name: String,
    /// The malformed field; an exception may name it for all of its rows.
    pub field: Option<String>,
    /// What is wrong with the argument.
    pub defect: Defect,
    /// The set-up that it needs.
    pub setup: Setup,
    /// The calls, one after the other.
    pub calls: Vec<MalformedCall>,
}

/// What a row needs besides the set-up of its case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// The argument stays as it is.
    Nothing,
    /// An object of this type as `$other`.
    Object(Object),
    /// Memory without write permission as `$other`.
    ReadOnlyMemory,
    /// An open file of another kind as `$other`.
    File,
}

/// One malformed call.
#[derive(Debug, Clone, PartialEq)]
pub struct MalformedCall {
    /// What is malformed, for the label of the step.
    pub what: String,
    /// How it differs from the call as given.
    pub change: Change,
    /// The part of the uAPI that makes it malformed on a kernel that does not know it. No other
    /// kernel gets the call.
    pub unknown: Option<Newer>,
    /// The number in it that no name stands for, unless the kernel is newer than the tables.
    pub unnamed: Option<Unnamed>,
}

/// How a call differs from the one that succeeds.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Not at all.
    Nothing,
    /// These keys of the step have these values.
    Keys(Vec<(&'static str, Tree)>),
    /// This key of the first element of the flexible array has this value.
    Data(&'static Tail, &'static str, Tree),
    /// The argument is this bad pointer.
    Pointer(&'static str),
}

/// Bits of an ioctl's number: `_IOC_NR` and `_IOC_TYPE`, and a direction.
const NR: u32 = 0x40;
const TYPE: u32 = 0x100;
const DIRECTION: u32 = 0x4000_0000;
/// Ids that no object has: none is ever 0, and the largest are never reached.
const NO_IDS: [u64; 3] = [0x7fff_ffff, 0xffff_ffff, 0];
/// A descriptor that is not open in the process of a case.
const CLOSED: u64 = 999;
/// An aligned address that nothing is ever mapped at.
const UNMAPPED: u64 = 0x1000;
/// A size far beyond the struct.
const FAR: u64 = 0x1_0000;
/// Maximum size of a struct; a larger one in a case is a mistake.
const LONGEST: u64 = 0x1000;

/// Returns every row of the contract, given the body of a call that succeeds.
///
/// # Errors
/// If the body does not give a value that a row needs before the run.
pub fn rows(ioctl: &'static Ioctl, body: &Node) -> Result<Vec<Row>, Problem> {
    let mut rows = vec![Row::new(
        "as given",
        Defect::None,
        [MalformedCall::new("", Change::Nothing)],
    )];
    if let Arg::Struct(layout) = ioctl.arg {
        let shape = ValidCall::of(ioctl, layout, body)?;
        rows.extend(shape.sizes());
        rows.extend(shape.pointers());
        rows.extend(shape.fields()?);
    }
    if let Arg::IntPtr | Arg::StrPtr = ioctl.arg {
        rows.extend(bad_pointers());
    }
    rows.extend(requests(ioctl));
    let from_32_bits = MalformedCall::keys("", [("abi", Tree::Text("ia32".to_owned()))]);
    rows.push(Row::new(
        "32-bit program",
        Defect::From32Bits,
        [from_32_bits],
    ));
    Ok(rows)
}

impl Row {
    fn new(
        name: impl Into<String>,
        defect: Defect,
        calls: impl IntoIterator<Item = MalformedCall>,
    ) -> Self {
        Self {
            name: name.into(),
            field: None,
            defect,
            setup: Setup::Nothing,
            calls: calls.into_iter().collect(),
        }
    }

    /// Returns the names by which an exception may select it: its own, and that of its field.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        iter::once(self.name.as_str()).chain(self.field.as_deref())
    }

    fn after(self, setup: Setup) -> Self {
        Self { setup, ..self }
    }
}

impl MalformedCall {
    fn new(what: impl Into<String>, change: Change) -> Self {
        Self {
            what: what.into(),
            change,
            unknown: None,
            unnamed: None,
        }
    }

    fn where_unknown(self, name: impl Into<String>, since: Since) -> Self {
        let name = name.into();
        Self {
            unknown: Some(Newer { name, since }),
            ..self
        }
    }

    fn keys<const N: usize>(what: impl Into<String>, keys: [(&'static str, Tree); N]) -> Self {
        Self::new(what, Change::Keys(keys.to_vec()))
    }
}

fn bad_pointers() -> [Row; 2] {
    [("pointer null", "null"), ("pointer unmapped", "unmapped")].map(|(name, pointer)| {
        let call = MalformedCall::new("", Change::Pointer(pointer));
        Row::new(name, Defect::BadPointer, [call])
    })
}

fn requests(ioctl: &Ioctl) -> [Row; 2] {
    let size = match ioctl.arg {
        Arg::Struct(layout) => layout.size << 16,
        _ => 0,
    };
    let request = |what, number: u32| {
        let what = format!("{what} {number:#x}");
        MalformedCall::keys(what, [("request", Tree::Int(number.into()))])
    };
    let number = request("number", ioctl.request + NR);
    let kind = request("type", ioctl.request + TYPE);
    let direction = request("direction and size", ioctl.request | DIRECTION | size);
    [
        Row::new("wrong ioctl number", Defect::OtherRequest, [number]),
        Row::new("wrong ioctl type", Defect::OtherRequest, [kind, direction]),
    ]
}

/// A call that succeeds, with the facts from its table and its body.
struct ValidCall<'a> {
    ioctl: &'static Ioctl,
    layout: &'static Struct,
    /// The smallest size.
    least: u64,
    /// The size of the call as given, including its flexible array.
    whole: u64,
    /// Offset of the flexible array, if the call has one.
    data: Option<u64>,
    size_key: Option<&'static str>,
    payload: Option<(&'static Tail, &'static Struct)>,
    body: &'a Node,
}

impl<'a> ValidCall<'a> {
    fn of(ioctl: &'static Ioctl, layout: &'static Struct, body: &'a Node) -> Result<Self, Problem> {
        let payload = payload_of(layout, body)?;
        let given = layout
            .tail
            .and_then(|tail| Some((tail, key(body, tail.name)?)));
        let data = given.filter(|(_, node)| !node.items().is_empty());
        let size = layout.fields.iter().find(|field| field.kind == Kind::Size);
        let claimed = size.and_then(|size| key(body, size.name)?.number().ok());
        let whole = match given {
            Some((tail, node)) => {
                let element = element_of(layout, tail, body)?;
                u64::from(tail.offset) + bytes(element, node.items())
            }
            None => layout.size.into(),
        };
        Ok(Self {
            ioctl,
            layout,
            least: ioctl.min_size.unwrap_or(layout.size).into(),
            whole: claimed
                .unwrap_or_default()
                .min(LONGEST)
                .max(whole)
                .max(layout.size.into()),
            data: data.map(|(tail, _)| tail.offset.into()),
            size_key: size.map(|size| size.name),
            payload,
            body,
        })
    }

    fn sizes(&self) -> Vec<Row> {
        let Some(key) = self.size_key else {
            return Vec::new();
        };
        let mut rows = vec![self.short(key)];
        match self.data {
            Some(_) => {
                let call = self.claim(key, self.whole - 1, self.whole);
                rows.push(Row::new("size short of data", Defect::DataShort, [call]));
            }
            None if self.least < self.whole => {
                let call = self.claim(key, self.least, self.least);
                rows.push(Row::new("size smallest", Defect::None, [call]));
            }
            None => {}
        }
        for (name, trailing, defect) in [
            ("size long zeros", "zeros", Defect::ZerosBehind),
            ("size long garbage", "garbage", Defect::GarbageBehind),
        ] {
            let size = self.whole + 8;
            let keys = [
                (key, Tree::Int(size)),
                ("trailing", Tree::Text(trailing.to_owned())),
            ];
            let call = MalformedCall::keys(format!("{key} {size}, {trailing} behind"), keys);
            let mut row = Row::new(name, defect, [call]);
            if defect == Defect::GarbageBehind {
                row.calls.extend(self.newer_fields());
            }
            rows.push(row);
        }
        let call = self.claim(key, FAR, self.whole);
        rows.push(Row::new(
            "size beyond memory",
            Defect::NothingBehind,
            [call],
        ));
        rows
    }

    /// Returns a call for each field that lies behind the struct of an older kernel.
    fn newer_fields(&self) -> impl Iterator<Item = MalformedCall> {
        let given = |field: &Field| key(self.body, field.name).is_some();
        let fields = self.layout.fields.iter();
        let newer = fields.filter(move |field| self.layout.grew_by(field) && !given(field));
        newer.map(|field| {
            let call =
                MalformedCall::keys(format!("{} 1", field.name), [(field.name, Tree::Int(1))]);
            let name = format!("{}.{}", self.layout.name, field.name);
            call.where_unknown(name, self.layout.since_field(field))
        })
    }

    /// Returns the row for a size that is too small although the whole struct is in memory.
    fn short(&self, key: &'static str) -> Row {
        let sizes = [self.least - 1, 0];
        let calls = sizes.map(|size| self.claim(key, size, self.whole));
        Row::new("size short", Defect::TooShort, calls)
    }

    fn claim(&self, key: &'static str, size: u64, mapped: u64) -> MalformedCall {
        let keys = [(key, Tree::Int(size)), ("mapped", Tree::Int(mapped))];
        MalformedCall::keys(format!("{key} {size}"), keys)
    }

    fn pointers(&self) -> Vec<Row> {
        let mut rows = bad_pointers().to_vec();
        if self.size_key.is_some() {
            let call = MalformedCall::keys("4 bytes mapped", [("mapped", Tree::Int(4))]);
            rows.push(Row::new(
                "pointer to the size only",
                Defect::BadPointer,
                [call],
            ));
        }
        if let Some(data) = self.data {
            let call = MalformedCall::keys(
                format!("{data} bytes mapped"),
                [("mapped", Tree::Int(data))],
            );
            rows.push(Row::new("pointer to no data", Defect::BadPointer, [call]));
        }
        let defect = if self.is_written() {
            Defect::BadPointer
        } else {
            Defect::NotWritten
        };
        let call = MalformedCall::keys("", [("pointer", Tree::Text("read_only".to_owned()))]);
        rows.push(Row::new("pointer read-only", defect, [call]));
        rows
    }

    /// Whether the kernel writes anything back into the argument.
    fn is_written(&self) -> bool {
        let fields = self.layout.fields.iter().any(|field| field.dir != Dir::In);
        fields || (self.data.is_some() && self.layout.tail.is_some_and(|tail| tail.dir != Dir::In))
    }

    /// Returns zeros for the flexible array. Opaque elements are words of 32 bits.
    fn opaque(&self) -> Option<(&'static str, Tree)> {
        let (tail, data) = (self.layout.tail?, self.data?);
        let zero = Node {
            at: self.body.at,
            tree: Tree::Int(0),
        };
        let words = usize::try_from((self.whole - data).div_ceil(4)).ok()?;
        Some((tail.name, Tree::List(vec![zero; words])))
    }

    fn fields(&self) -> Result<Vec<Row>, Problem> {
        let mut rows = Vec::new();
        for field in self.layout.fields {
            let place = Place {
                tail: None,
                field,
                given: key(self.body, field.name),
                opaque: self.opaque(),
                since: self.ioctl.since().series(),
            };
            rows.extend(place.named_rows()?);
        }
        let Some((tail, layout)) = self.payload else {
            return Ok(rows);
        };
        let first = key(self.body, tail.name).and_then(|node| node.items().first());
        for field in layout.fields {
            let place = Place {
                tail: Some(tail),
                field,
                given: first.and_then(|item| key(item, field.name)),
                opaque: None,
                since: self.ioctl.since().series(),
            };
            rows.extend(place.named_rows()?);
        }
        Ok(rows)
    }
}

/// Returns the size of the elements of a flexible array in bytes.
fn bytes(element: Option<Element>, items: &[Node]) -> u64 {
    let width = |item: &Node| match (element, &item.tree) {
        (Some(Element::Struct(layout)), Tree::Map(_)) => u64::from(layout.size),
        (Some(Element::Plain { width, .. }), _) => width.bytes().into(),
        _ => 4,
    };
    items.iter().map(width).sum()
}

fn key<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    let entries = node.entries().unwrap_or_default();
    let entry = entries.iter().find(|(known, _)| known.text == name)?;
    Some(&entry.1)
}

/// One field of the struct, or of the struct in its flexible array.
struct Place<'a> {
    tail: Option<&'static Tail>,
    field: &'static Field,
    given: Option<&'a Node>,
    /// Name of the flexible array of the call, and zeros for it.
    opaque: Option<(&'static str, Tree)>,
    /// When the ioctl came.
    since: Series,
}

impl Place<'_> {
    fn named_rows(&self) -> Result<Vec<Row>, Problem> {
        let field = Some(self.name());
        let name = |row| Row {
            field: field.clone(),
            ..row
        };
        Ok(self.rows()?.into_iter().map(name).collect())
    }

    fn rows(&self) -> Result<Vec<Row>, Problem> {
        if self.field.dir == Dir::Out {
            return Ok(Vec::new());
        }
        let all = self.field.width.max();
        Ok(match self.field.kind {
            Kind::Flags(known) => {
                vec![self.unknown_bits(0, known)?]
            }
            Kind::IndexAndFlags { mask, index, flags } => {
                let rest = self.number()? & !mask;
                let free = free_value(index).filter(|free| free & !mask == 0);
                let values = free.into_iter().chain([mask]);
                let calls = values.map(|number| self.unnamed(rest, number, index));
                let row = self.unknown_index(calls, self.newer(index, rest));
                vec![self.unknown_bits(mask, flags)?, row]
            }
            Kind::Enum(known) => {
                let values = free_value(known).into_iter().chain([all]);
                let calls = values.map(|number| self.unnamed(0, number, known));
                let mut row = self.row_of("unknown", Defect::UnknownValue, calls);
                row.calls.extend(self.newer(known, 0));
                vec![row]
            }
            Kind::Reserved => vec![self.reserved()],
            Kind::Id(kinds) => self.ids(kinds),
            Kind::UserPtr(pointee) => self.user_pointers(pointee.dir),
            Kind::Fd => self.files(),
            Kind::Size | Kind::Iova | Kind::Length | Kind::Phys | Kind::Counted | Kind::Plain => {
                Vec::new()
            }
        })
    }

    /// `flags` or `data.flags`.
    fn name(&self) -> String {
        match self.tail {
            None => self.field.name.to_owned(),
            Some(tail) => format!("{}.{}", tail.name, self.field.name),
        }
    }

    fn row(&self, what: &str, defect: Defect, values: impl IntoIterator<Item = u64>) -> Row {
        let calls = values.into_iter().map(|value| self.call(value));
        self.row_of(what, defect, calls)
    }

    fn row_of(
        &self,
        what: &str,
        defect: Defect,
        calls: impl Iterator<Item = MalformedCall>,
    ) -> Row {
        Row::new(format!("{} {what}", self.name()), defect, calls)
    }

    /// Returns a call with a number that no name of the tables stands for, added to the rest.
    fn unnamed(&self, rest: u64, number: u64, beside: &'static [Constant]) -> MalformedCall {
        MalformedCall {
            unnamed: Some(Unnamed { number, beside }),
            ..self.call(rest | number)
        }
    }

    fn call(&self, value: u64) -> MalformedCall {
        MalformedCall::new(
            format!("{} {value:#x}", self.name()),
            self.change(Tree::Int(value)),
        )
    }

    fn change(&self, value: Tree) -> Change {
        match self.tail {
            None => Change::Keys(vec![(self.field.name, value)]),
            Some(tail) => Change::Data(tail, self.field.name, value),
        }
    }

    /// Returns the value of the field in the call.
    fn number(&self) -> Result<u64, Problem> {
        let Some(node) = self.given else {
            return Ok(0);
        };
        match value::field_value(node, self.field)? {
            wire::Value::Const(number) => Ok(number),
            wire::Value::Slot { .. } => Err(node.not("flags that are known before the run")),
        }
    }

    /// Returns the row for an unknown index. Its data is replaced by as many zeros, because its
    /// meaning is unknown.
    fn unknown_index(
        &self,
        calls: impl Iterator<Item = MalformedCall>,
        newer: Vec<MalformedCall>,
    ) -> Row {
        let mut row = self.row_of("unknown index", Defect::UnknownIndex, calls);
        row.calls.extend(newer);
        if let Some((key, zeros)) = &self.opaque {
            for call in &mut row.calls {
                if let Change::Keys(keys) = &mut call.change {
                    keys.push((*key, zeros.clone()));
                }
            }
        }
        row
    }

    /// Returns the row for bits that have no name, or whose name is newer than the kernel.
    fn unknown_bits(&self, mask: u64, flags: &'static [Constant]) -> Result<Row, Problem> {
        let given = self.number()?;
        let known = flags.iter().fold(mask, |bits, flag| bits | flag.value);
        let bits = (0..u64::from(8 * self.field.width.bytes())).map(|bit| 1 << bit);
        let unknown = bits.filter(|bit| bit & known == 0);
        let calls = unknown.map(|bit| self.unnamed(given, bit, flags));
        let mut row = self.row_of("unknown bits", Defect::UnknownValue, calls);
        row.calls.extend(self.newer(flags, given));
        Ok(row)
    }

    /// Returns a call for each name that is newer than the ioctl and not in the call as given, with
    /// the rest of its value. Of several names for one number it is the oldest.
    fn newer(&self, named: &[Constant], rest: u64) -> Vec<MalformedCall> {
        let given = self.number().unwrap_or_default();
        let oldest = |constant: &Constant| self.field.named_in(constant.value).contains(&constant);
        let newer = named.iter().filter(|constant| {
            let added = constant.value & !given != 0;
            added && constant.since().series() > self.since && oldest(constant)
        });
        let calls = newer.map(|constant| {
            let call = self.call(rest | constant.value);
            call.where_unknown(constant.name, constant.since())
        });
        calls.collect()
    }

    /// Returns the row for a reserved field: each element in turn, with its lowest and its highest
    /// bit.
    fn reserved(&self) -> Row {
        let top = self.field.width.max() ^ (self.field.width.max() >> 1);
        let elements = 0..self.field.count as usize;
        let values = elements.flat_map(|index| [(index, 1), (index, top)]);
        let calls = values.map(|(index, value)| {
            if self.field.count == 1 {
                return self.call(value);
            }
            let zeros = vec![0; self.field.count as usize];
            let elements = zeros.iter().enumerate();
            let items = elements.map(|(at, _)| Node {
                at: self.given.map(|node| node.at).unwrap_or_default(),
                tree: Tree::Int(if at == index { value } else { 0 }),
            });
            let what = format!("{}[{index}] {value:#x}", self.name());
            MalformedCall::new(what, self.change(Tree::List(items.collect())))
        });
        let calls: Vec<_> = calls.collect();
        Row::new(format!("{} not 0", self.name()), Defect::Reserved, calls)
    }

    fn ids(&self, right: &[Object]) -> Vec<Row> {
        let mut rows = vec![self.row("does not exist", Defect::UnknownId, NO_IDS)];
        let wrong = OBJECTS.iter().filter(|(object, _)| !right.contains(object));
        rows.extend(wrong.map(|(object, name)| {
            let row = self.other(&format!("is {name}"), Defect::WrongObject);
            row.after(Setup::Object(*object))
        }));
        rows
    }

    fn user_pointers(&self, dir: Dir) -> Vec<Row> {
        let mut rows = vec![
            self.row("null", Defect::BadPointer, [0]),
            self.row("unmapped", Defect::BadPointer, [UNMAPPED]),
        ];
        if dir != Dir::In {
            let row = self.other("read-only", Defect::BadPointer);
            rows.push(row.after(Setup::ReadOnlyMemory));
        }
        rows
    }

    fn files(&self) -> Vec<Row> {
        let negative = self.field.width.max();
        vec![
            self.row("closed", Defect::NoFile, [CLOSED]),
            self.row("negative", Defect::NoFile, [negative]),
            self.other("of another kind", Defect::OtherFile)
                .after(Setup::File),
        ]
    }

    /// Returns a row in which the field refers to the object that the set-up makes.
    fn other(&self, what: &str, defect: Defect) -> Row {
        let name = format!("{} {what}", self.name());
        let change = self.change(Tree::Text(format!("${OTHER}")));
        Row::new(name.clone(), defect, [MalformedCall::new(name, change)])
    }
}

/// Returns the lowest number without a name.
fn free_value(known: &[uapi::Constant]) -> Option<u64> {
    (0..).find(|value| known.iter().all(|constant| constant.value != *value))
}

/// Name of the object that the set-up of a row makes.
pub const OTHER: &str = "other";

/// The types of objects, with a name for each, which is also the name of the prelude that makes
/// one.
pub const OBJECTS: [(Object, &str); 11] = [
    (Object::Ioas, "an IOAS"),
    (Object::HwptPaging, "a paging HWPT"),
    (Object::HwptNested, "a nested HWPT"),
    (Object::Device, "a device"),
    (Object::Access, "an access"),
    (Object::Fault, "a fault queue"),
    (Object::Viommu, "a vIOMMU"),
    (Object::Vdevice, "a vDEVICE"),
    (Object::Veventq, "an event queue"),
    (Object::HwQueue, "a hardware queue"),
    (Object::Selftest, "a mock device"),
];
