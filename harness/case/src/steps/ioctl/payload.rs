//! The contents of the flexible array of a struct.

use uapi::{Element, Field, Struct, Tail};
use wire::Value;

use crate::{node::Node, problem::Problem, value};

/// The structure that fills the flexible array of another one: `data.FIELD` names a field of
/// its first element.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    tail: &'static Tail,
    layout: &'static Struct,
}

impl Payload {
    /// Returns `None` if the array is absent, of integers, or opaque.
    pub fn of(layout: &'static Struct, body: &Node) -> Result<Option<Self>, Problem> {
        let Some(tail) = layout.tail else {
            return Ok(None);
        };
        Ok(match element_of(layout, tail, body)? {
            Some(Element::Struct(layout)) => Some(Self { tail, layout }),
            _ => None,
        })
    }

    /// Returns the field that `data.NAME` refers to, and the offset of its structure.
    fn field(self, dotted: &str) -> Option<(&'static Field, usize)> {
        let name = dotted.strip_prefix(self.tail.name)?.strip_prefix('.')?;
        let field = self.layout.field(name)?;
        Some((field, self.tail.offset as usize))
    }
}

/// Returns the type of elements in the flexible array of a call, or `None` if its fields do not
/// determine it.
pub fn element_of(
    layout: &'static Struct,
    tail: &Tail,
    body: &Node,
) -> Result<Option<Element>, Problem> {
    let mut fields = Vec::new();
    for (name, node) in body.entries()? {
        let field = layout.field(&name.text);
        let Some(field) = field.filter(|field| decides(tail, field)) else {
            continue;
        };
        if let Value::Const(number) = value::field_value(node, field)? {
            fields.push((field.name, number));
        }
    }
    let known = |name: &str| fields.iter().find(|(of, _)| *of == name).map(|(_, n)| *n);
    Ok(tail.element.chosen(known))
}

/// Returns the structure in the flexible array of a call, if it has one.
pub fn payload_of(
    layout: &'static Struct,
    body: &Node,
) -> Result<Option<(&'static Tail, &'static Struct)>, Problem> {
    let payload = Payload::of(layout, body)?;
    Ok(payload.map(|payload| (payload.tail, payload.layout)))
}

/// Whether the field determines the type of the flexible array.
fn decides(tail: &Tail, field: &Field) -> bool {
    matches!(tail.element, Element::Chosen(choices)
        if choices.iter().any(|choice| choice.field == field.name))
}

/// A field of the struct, or of what fills its flexible array.
pub fn find_field(
    layout: Option<&'static Struct>,
    payload: Option<Payload>,
    name: &str,
) -> Option<(&'static Field, usize)> {
    let own = layout.and_then(|layout| layout.field(name));
    own.map(|field| (field, 0))
        .or_else(|| payload.and_then(|payload| payload.field(name)))
}
