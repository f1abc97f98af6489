//! The memory that an ioctl's argument points to, as a variable of C.

use uapi::{Element, Field, Kind, Struct};
use wire::{Patch, Value};

use crate::{
    number::{Numbers, plain},
    text::indented,
    variables::Variables,
};

/// The names for numbers and variables.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Names of numbers.
    pub numbers: Numbers,
    pub variables: &'a Variables,
}

impl Words<'_> {
    /// Returns a value as an expression.
    pub fn value(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Const(number) => Ok(plain(*number)),
            Value::Slot { name, add } => {
                let name = self
                    .variables
                    .name(name)
                    .ok_or_else(|| format!("no step saves `{name}`"))?;
                Ok(match *add {
                    0 => name,
                    add if add > u64::MAX / 2 => {
                        format!("{name} - {}", plain(add.wrapping_neg()))
                    }
                    add => format!("{name} + {}", plain(add)),
                })
            }
        }
    }
}

/// A part of a buffer.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    member: String,
    offset: usize,
    of: Content,
    count: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Content {
    Struct(&'static Struct),
    Number { width: usize, signed: bool },
}

impl Content {
    fn size(self) -> usize {
        match self {
            Self::Struct(layout) => layout.size as usize,
            Self::Number { width, .. } => width,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Struct(layout) => format!("struct {}", layout.name),
            Self::Number { width, signed } => {
                format!("__{}{}", if signed { 's' } else { 'u' }, width * 8)
            }
        }
    }
}

impl Part {
    fn end(&self) -> usize {
        self.offset + self.of.size() * self.count
    }
}

/// A variable for a buffer, or for the part of it that has a meaning.
#[derive(Debug, Clone)]
pub struct Buffer {
    /// Its name.
    pub name: String,
    /// Its declaration with its initial value.
    pub declaration: String,
    /// Statements for values that the declaration cannot express.
    pub statements: Vec<String>,
    /// Its size in bytes.
    pub length: usize,
    parts: Vec<Part>,
    chosen: Option<&'static str>,
}

impl Buffer {
    /// Returns a struct and the contents of its flexible array, as far as there are bytes.
    pub fn of(
        layout: &'static Struct,
        bytes: &[u8],
        patches: &[Patch],
        words: Words<'_>,
    ) -> Result<Self, String> {
        let short = short_name(layout.name);
        let parts = parts(layout, bytes, patches, &short);
        let wish = if parts.len() == 1 { &short } else { "arg" };
        let name = words.variables.fresh(wish);
        let length = parts.last().map_or(0, Part::end);
        let mut padded = bytes.to_vec();
        padded.resize(length.max(bytes.len()), 0);
        let mut buffer = Self {
            name,
            declaration: String::new(),
            statements: Vec::new(),
            length,
            chosen: chosen(layout, &padded),
            parts,
        };
        buffer.declare(&padded, bytes.len(), patches, words)?;
        Ok(buffer)
    }

    /// Returns the struct without initial values.
    pub fn empty(layout: &'static Struct, wish: &str, variables: &Variables) -> Self {
        let name = variables.fresh(wish);
        Self {
            declaration: format!("struct {} {name};", layout.name),
            statements: Vec::new(),
            length: layout.size as usize,
            chosen: None,
            parts: vec![Part {
                member: String::new(),
                offset: 0,
                of: Content::Struct(layout),
                count: 1,
            }],
            name,
        }
    }

    fn declare(
        &mut self,
        bytes: &[u8],
        there: usize,
        patches: &[Patch],
        words: Words<'_>,
    ) -> Result<(), String> {
        let mut filled = Filled {
            bytes,
            there,
            patches,
            words,
            covered: vec![false; bytes.len()],
            applied: vec![false; patches.len()],
            name: self.name.clone(),
            length: self.length,
            chosen: self.chosen,
        };
        let values: Vec<_> = self
            .parts
            .iter()
            .map(|part| filled.part(part))
            .collect::<Result<_, _>>()?;
        self.declaration = match (self.parts.as_slice(), values.as_slice()) {
            ([part], [value]) => {
                format!("{} {} = {};", part.of.name(), self.name, value)
            }
            (parts, values) => compound(&self.name, parts, values),
        };
        self.statements = filled.left_over(self.length)?;
        Ok(())
    }

    /// Whether the size field of a struct has the size of the variable.
    pub fn is_whole(&self, bytes: &[u8]) -> bool {
        let [first, ..] = self.parts.as_slice() else {
            return false;
        };
        let Content::Struct(layout) = first.of else {
            return false;
        };
        let size = layout.fields.iter().find(|field| field.kind == Kind::Size);
        let claimed = size.and_then(|field| field.get(bytes));
        bytes.len() == self.length && claimed.is_none_or(|claimed| claimed == self.length as u64)
    }

    /// Returns the expression of a field whose struct begins at `base`, if the buffer has it.
    pub fn field(&self, base: usize, field: &Field) -> Option<String> {
        let part = self.parts.iter().find(|part| {
            let Content::Struct(layout) = part.of else {
                return false;
            };
            (part.offset..part.end()).contains(&base)
                && (base - part.offset).is_multiple_of(part.of.size())
                && layout.fields.iter().any(|own| std::ptr::eq(own, field))
        })?;
        let element = if field.count > 1 { "[0]" } else { "" };
        Some(format!(
            "{}.{}{element}",
            self.place(part, base),
            field.name
        ))
    }

    /// Returns the expression of a number at an offset, if the buffer has one there.
    pub fn number(&self, offset: usize, width: usize) -> Option<String> {
        let part = self
            .parts
            .iter()
            .find(|part| (part.offset..part.end()).contains(&offset))?;
        let base = offset - (offset - part.offset) % part.of.size();
        match part.of {
            Content::Number { width: own, .. } if own == width && base == offset => {
                Some(self.place(part, base))
            }
            Content::Number { .. } => None,
            Content::Struct(layout) => {
                let here = |field: &&Field| {
                    field.offset as usize == offset - base && field.width.bytes() as usize == width
                };
                let mut fields = layout.fields.iter().filter(here);
                let first = fields.clone().next()?;
                let field = fields
                    .find(|field| prefix(field).is_some() && prefix(field) == self.chosen)
                    .unwrap_or(first);
                Some(format!("{}.{}", self.place(part, base), field.name))
            }
        }
    }

    fn place(&self, part: &Part, base: usize) -> String {
        let member = match self.parts.len() {
            1 => self.name.clone(),
            _ => format!("{}.{}", self.name, part.member),
        };
        if part.count == 1 && matches!(part.of, Content::Struct(_)) {
            return member;
        }
        format!("{member}[{}]", (base - part.offset) / part.of.size())
    }
}

fn compound(name: &str, parts: &[Part], values: &[String]) -> String {
    let mut members = String::new();
    let mut filled = String::new();
    for (part, value) in parts.iter().zip(values) {
        let array = match (part.of, part.count) {
            (Content::Struct(_), 1) => String::new(),
            (_, count) => format!("[{count}]"),
        };
        members.push_str(&format!("{} {}{array};\n", part.of.name(), part.member));
        if value != "{}" {
            filled.push_str(&format!(".{} = {value},\n", part.member));
        }
    }
    format!(
        "struct {{\n{}}} __attribute__((packed)) {name} = {{\n{}}};",
        indented(&members),
        indented(&filled)
    )
}

/// Returns the parts of a buffer: the struct, and the elements of flexible arrays, recursively.
fn parts(layout: &'static Struct, bytes: &[u8], patches: &[Patch], name: &str) -> Vec<Part> {
    let mut parts = vec![Part {
        member: name.to_owned(),
        offset: 0,
        of: Content::Struct(layout),
        count: 1,
    }];
    let mut outer = layout;
    let mut base = 0;
    while let Some(tail) = outer.tail {
        let offset = base + tail.offset as usize;
        let end = parts.last().map_or(0, Part::end);
        let Some(left) = bytes.len().checked_sub(offset).filter(|left| *left > 0) else {
            break;
        };
        if offset != end {
            break; // padding that the array reaches into
        }
        let known = |field: &str| outer.field(field)?.get(bytes.get(base..)?);
        let rest = &bytes[offset..];
        let says_nothing = rest.iter().all(|byte| *byte == rest[0])
            && patches.iter().all(|patch| patch.offset < offset);
        let of = match tail.element.chosen(known) {
            Some(Element::Struct(inner)) => Content::Struct(inner),
            Some(Element::Plain { width, signed }) => Content::Number {
                width: width.bytes() as usize,
                signed,
            },
            _ if says_nothing => break,
            // The fields contradict each other, which may be what the case tests.
            _ => Content::Number {
                width: if left.is_multiple_of(4) { 4 } else { 1 },
                signed: false,
            },
        };
        let inner = match of {
            Content::Struct(inner) if inner.tail.is_some() => Some(inner),
            _ => None,
        };
        if left < of.size() && says_nothing {
            break;
        }
        // A truncated element has its beginning.
        let whole = (left / of.size()).max(1);
        let count = if inner.is_some() { 1 } else { whole };
        let taken = parts.iter().any(|part| part.member == tail.name);
        let member = if taken {
            format!("{}_", tail.name)
        } else {
            tail.name.to_owned()
        };
        parts.push(Part {
            member,
            offset,
            of,
            count,
        });
        match inner {
            Some(inner) => (outer, base) = (inner, offset),
            None => break,
        }
    }
    parts
}

/// The bytes of a buffer while its declaration is written.
struct Filled<'a> {
    bytes: &'a [u8],
    /// How many of them are in memory.
    there: usize,
    patches: &'a [Patch],
    words: Words<'a>,
    covered: Vec<bool>,
    applied: Vec<bool>,
    name: String,
    length: usize,
    chosen: Option<&'static str>,
}

impl Filled<'_> {
    fn part(&mut self, part: &Part) -> Result<String, String> {
        let values: Vec<_> = (0..part.count)
            .map(|index| {
                let base = part.offset + index * part.of.size();
                match part.of {
                    Content::Struct(layout) => self.structure(layout, base),
                    Content::Number { width, signed } => Ok(self
                        .element(base, width, |value| match signed {
                            true => (sign_extended(value, width)).to_string(),
                            false => plain(value),
                        })?
                        .unwrap_or_else(|| "0".to_owned())),
                }
            })
            .collect::<Result<_, String>>()?;
        Ok(match (part.of, values.as_slice()) {
            (Content::Struct(_), [one]) => one.clone(),
            (Content::Number { .. }, values) if values.iter().all(|value| value == "0") => {
                "{}".to_owned()
            }
            (Content::Number { .. }, values) => format!("{{ {} }}", values.join(", ")),
            (Content::Struct(_), values) if values.iter().all(|value| value == "{}") => {
                "{}".to_owned()
            }
            (Content::Struct(_), values) => {
                let lines: String = values.iter().map(|value| format!("{value},\n")).collect();
                format!("{{\n{}}}", indented(&lines))
            }
        })
    }

    fn structure(&mut self, layout: &'static Struct, base: usize) -> Result<String, String> {
        let mut lines = Vec::new();
        for field in layout.fields {
            if let Some(value) = self.field(field, base)? {
                let value = match is_pointer(layout, field) {
                    true => format!("(void *)({value})"),
                    false => broken_up(&value),
                };
                lines.push(format!(".{} = {value},\n", field.name));
            }
        }
        if lines.is_empty() {
            return Ok("{}".to_owned());
        }
        Ok(format!("{{\n{}}}", indented(&lines.concat())))
    }

    /// Returns `None` if it is zero, or if another member of its union has the bytes.
    fn field(&mut self, field: &'static Field, base: usize) -> Result<Option<String>, String> {
        let other =
            prefix(field).is_some() && self.chosen.is_some() && prefix(field) != self.chosen;
        if field.union && other {
            return Ok(None);
        }
        let at = base + field.offset as usize;
        if field.kind == Kind::Size && base == 0 {
            self.cover(at, field.size() as usize);
            return Ok(field.get(self.bytes).map(|claimed| self.size(claimed)));
        }
        let (numbers, width) = (self.words.numbers, field.width.bytes() as usize);
        let text = |value: u64| {
            let value = if field.signed {
                sign_extended(value, width) as u64
            } else {
                value
            };
            numbers.field(field, value)
        };
        if field.count == 1 {
            return self.element(at, width, text);
        }
        let elements: Vec<_> = (0..field.count as usize)
            .map(|index| self.element(at + index * width, width, text))
            .collect::<Result<_, _>>()?;
        if elements.iter().all(Option::is_none) {
            return Ok(None);
        }
        let elements: Vec<_> = elements
            .into_iter()
            .map(|element| element.unwrap_or_else(|| "0".to_owned()))
            .collect();
        Ok(Some(format!("{{ {} }}", elements.join(", "))))
    }

    /// Returns the value of the size field in terms of the variable.
    fn size(&self, claimed: u64) -> String {
        let own = self.length as u64;
        match claimed {
            _ if claimed == own => format!("sizeof({})", self.name),
            _ if claimed + 1 == own => format!("sizeof({}) - 1", self.name),
            _ if claimed == own + 8 => format!("sizeof({}) + 8", self.name),
            _ => plain(claimed),
        }
    }

    /// Returns `None` if it is zero, or part of another field.
    fn element(
        &mut self,
        at: usize,
        width: usize,
        text: impl Fn(u64) -> String,
    ) -> Result<Option<String>, String> {
        let range = at..at + width;
        if self.covered[range.clone()].iter().any(|covered| *covered) {
            return Ok(None);
        }
        let inside = |patch: &Patch| {
            patch.offset < range.end && range.start < patch.offset + patch.width.bytes()
        };
        let mut patches = (0..self.patches.len()).filter(|index| inside(&self.patches[*index]));
        if let Some(index) = patches.next_back() {
            let patch = &self.patches[index];
            if patch.offset != at || patch.width.bytes() != width || patches.next().is_some() {
                return Ok(None);
            }
            let value = self.words.value(&patch.value)?;
            self.applied[index] = true;
            self.cover(at, width);
            return Ok(Some(value));
        }
        let value = wire::little_endian(&self.bytes[range]);
        if value == 0 {
            return Ok(None);
        }
        self.cover(at, width);
        Ok(Some(text(value)))
    }

    fn cover(&mut self, at: usize, width: usize) {
        let end = self.covered.len().min(at + width);
        self.covered[at..end].fill(true);
    }

    /// Returns the bytes that are not in a field.
    fn left_over(&self, length: usize) -> Result<Vec<String>, String> {
        let mut statements = Vec::new();
        let mut at = 0;
        while at < length.min(self.there) {
            let byte = self.bytes[at];
            if self.covered[at] || byte == 0 {
                at += 1;
                continue;
            }
            let run = self.bytes[at..length]
                .iter()
                .zip(&self.covered[at..length])
                .take_while(|(other, covered)| **other == byte && !**covered)
                .count();
            statements.push(format!(
                "memset((char *)&{} + {at}, {}, {run});",
                self.name,
                plain(byte.into())
            ));
            at += run;
        }
        for (patch, applied) in self.patches.iter().zip(&self.applied) {
            let width = patch.width.bytes();
            if !applied && patch.offset + width <= length {
                let value = self.words.value(&patch.value)?;
                statements.push(format!(
                    "memcpy((char *)&{} + {}, &(__u{}){{ {value} }}, {width});",
                    self.name,
                    patch.offset,
                    width * 8
                ));
            } else if !applied && patch.offset < self.there.min(length) {
                return Err("a value that is cut off by the end of its struct".to_owned());
            }
        }
        Ok(statements)
    }
}

/// Maximum length of a value on one line.
const LINE: usize = 60;

/// Puts flags on separate lines if they are too long for one.
fn broken_up(value: &str) -> String {
    if value.len() <= LINE {
        return value.to_owned();
    }
    value.replace(" | ", " |\n\t")
}

/// Whether the field is a C pointer in the uAPI; only one is.
fn is_pointer(layout: &Struct, field: &Field) -> bool {
    field.name == "bitmap.data" || (layout.name, field.name) == ("vfio_bitmap", "data")
}

fn sign_extended(value: u64, width: usize) -> i64 {
    let unused = 64 - 8 * width as u32;
    ((value << unused) as i64) >> unused
}

/// Returns the struct in a union that a dotted field belongs to.
fn prefix(field: &Field) -> Option<&'static str> {
    field
        .union
        .then(|| field.name.split_once('.'))
        .flatten()
        .map(|(prefix, _)| prefix)
}

/// Returns the member of a union that an operation uses: the one with all of its words in the
/// operation's name.
fn chosen(layout: &'static Struct, bytes: &[u8]) -> Option<&'static str> {
    let name = layout.fields.iter().find_map(|field| match field.kind {
        Kind::Enum(set) if layout.fields.iter().any(|other| prefix(other).is_some()) => {
            uapi::enum_name(set, field.get(bytes)?)
        }
        _ => None,
    })?;
    let name = name.short().to_lowercase();
    let words: Vec<_> = name.split('_').collect();
    let members = layout.fields.iter().filter_map(prefix);
    members
        .filter(|member| member.split('_').all(|word| words.contains(&word)))
        .max_by_key(|member| member.len())
}

/// Returns a short name for a variable of this struct: its last distinctive word.
pub fn short_name(of: &str) -> String {
    let last = of
        .split('_')
        .rfind(|word| !["pt", "iommufd", "dirty", "type1"].contains(word));
    last.unwrap_or("argument").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("iommu_ioas_map", "map")]
    #[case("vfio_device_attach_iommufd_pt", "attach")]
    #[case("vfio_device_bind_iommufd", "bind")]
    fn variables_have_short_names(#[case] of: &str, #[case] want: &str) {
        assert_eq!(short_name(of), want);
    }

    #[rstest]
    #[case(1, Some("add_reserved"))]
    #[case(3, Some("check_map"))]
    #[case(9, Some("memory_limit"))]
    #[case(10, Some("mock_domain_replace"))]
    #[case(2, Some("mock_domain"))]
    #[case(99, None)]
    fn an_operation_chooses_the_member(#[case] op: u8, #[case] want: Option<&str>) {
        let layout = uapi::structure("iommu_test_cmd").unwrap();
        let mut bytes = vec![0; layout.size as usize];
        bytes[4] = op;
        assert_eq!(chosen(layout, &bytes), want);
    }
}
