//! Fields of structs: expected values, and fields to save.

use uapi::{Field, Struct};
use wire::{Save, Width};

use crate::{
    expect::{FieldWant, Want},
    fields::Fields,
    node::{Name, Node, Tree},
    problem::Problem,
    steps::ioctl::payload::{Payload, find_field},
    value,
};

/// Fields to save, each under a name.
#[derive(Debug)]
pub struct Saves;

impl Saves {
    /// Reads `save: {field: name}`.
    pub fn read(
        fields: &mut Fields<'_>,
        layout: Option<&'static Struct>,
        payload: Option<Payload>,
        what: &str,
    ) -> Result<Vec<Save>, Problem> {
        let Some(node) = fields.take("save") else {
            return Ok(Vec::new());
        };
        let mut saves = Vec::new();
        for (name, slot) in node.entries()? {
            let (field, base) = find_field(layout, payload, &name.text).ok_or_else(|| {
                let known = layout
                    .map_or(&[][..], |layout| layout.fields)
                    .iter()
                    .map(|f| f.name);
                Problem::unknown_key(name.at, &name.text, what, known)
            })?;
            let text = slot.text()?;
            value::check_name(slot.at, text)?;
            saves.push(Save {
                offset: base + field.offset as usize,
                width: width_of(field),
                slot: text.to_owned(),
            });
        }
        Ok(saves)
    }
}

/// Expected values of the fields of a struct.
#[derive(Debug)]
pub struct FieldWants;

impl FieldWants {
    /// Reads `expect: {field: value, field: {not: value}, flags: {has: [..], lacks: [..]}}`.
    pub fn read(node: &Node, layout: &'static Struct) -> Result<Vec<FieldWant>, Problem> {
        let mut wants = Vec::new();
        for (name, want) in node.entries()? {
            let field = layout.field(&name.text).ok_or_else(|| {
                let known = layout.fields.iter().map(|field| field.name);
                Problem::unknown_key(name.at, &name.text, layout.name, known)
            })?;
            wants.extend(read_field_want(want, field, 0)?);
        }
        Ok(wants)
    }
}

/// Reads the expected value of one field.
pub fn read_field_want(
    want: &Node,
    field: &'static Field,
    base: usize,
) -> Result<Vec<FieldWant>, Problem> {
    let Tree::Map(entries) = &want.tree else {
        let want = Want::Is(value::field_value(want, field)?);
        return Ok(vec![FieldWant { field, base, want }]);
    };
    let relation = |(key, node): &(Name, Node)| {
        let want = value::relation(key, node, |node| value::field_value(node, field))?;
        Ok(FieldWant { field, base, want })
    };
    entries.iter().map(relation).collect()
}

/// The struct that a node names.
pub fn read_struct(node: &Node) -> Result<&'static Struct, Problem> {
    let name = node.text()?;
    uapi::structure(name).ok_or_else(|| {
        let known = uapi::structs().iter().map(|layout| layout.name);
        Problem::unknown_name(node.at, "struct", name, known)
    })
}

/// Width of one element of a field.
pub fn width_of(field: &Field) -> Width {
    wire_width(field.width)
}

/// The same width in a plan.
pub fn wire_width(width: uapi::Width) -> Width {
    match width {
        uapi::Width::W1 => Width::W1,
        uapi::Width::W2 => Width::W2,
        uapi::Width::W4 => Width::W4,
        uapi::Width::W8 => Width::W8,
    }
}
