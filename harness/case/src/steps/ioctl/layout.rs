//! `layout`: a struct that the tables do not have, as a case gives it.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use uapi::{Dir, Field, Kind, Struct, Width};

use crate::{
    node::{Name, Node},
    problem::Problem,
    spec::Spec,
};

/// Where the description of such a struct comes from.
pub const SOURCE: &str = "the headers of the kernel under test";
/// The types of fields.
const TYPES: [(&str, Width, bool); 8] = [
    ("u8", Width::W1, false),
    ("u16", Width::W2, false),
    ("u32", Width::W4, false),
    ("u64", Width::W8, false),
    ("s8", Width::W1, true),
    ("s16", Width::W2, true),
    ("s32", Width::W4, true),
    ("s64", Width::W8, true),
];
/// Fields that hold the size of their struct.
const SIZES: [&str; 2] = ["argsz", "size"];
/// The longest array that a layout may have.
const LONGEST: u32 = 4096;

/// A field as a case gives it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Given {
    name: String,
    width: Width,
    signed: bool,
    count: u32,
}

/// Returns what may stand under `layout`.
pub fn spec() -> Spec {
    Spec::Fields(Box::new(Spec::Text))
}

/// Reads a layout. A struct without fields has the size 0.
///
/// # Errors
/// With what is wrong with the type of a field.
pub fn read(name: &str, node: &Node) -> Result<&'static Struct, Problem> {
    let fields = node.entries()?.iter().map(read_field);
    Ok(known(name, fields.collect::<Result<_, _>>()?))
}

fn read_field((name, of): &(Name, Node)) -> Result<Given, Problem> {
    let text = of.text()?;
    let (kind, count) = match text.split_once('[') {
        None => (text, 1),
        Some((kind, rest)) => {
            let count = rest.strip_suffix(']').and_then(|it| it.parse().ok());
            let count = count.filter(|count| (1..=LONGEST).contains(count));
            let what = format!("a number of elements from 1 to {LONGEST}");
            (kind, count.ok_or_else(|| of.not(&what))?)
        }
    };
    let found = TYPES.iter().find(|(known, ..)| *known == kind);
    let (_, width, signed) = *found.ok_or_else(|| {
        let known = TYPES.iter().map(|(known, ..)| *known);
        Problem::unknown_name(of.at, "type", kind, known)
    })?;
    Ok(Given {
        name: name.text.clone(),
        width,
        signed,
        count,
    })
}

/// Layouts live as long as the program, like those of the tables: each is made once.
fn known(name: &str, given: Vec<Given>) -> &'static Struct {
    type Made = HashMap<(String, Vec<Given>), &'static Struct>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (name.to_owned(), given);
    if let Some(known) = made.get(&key) {
        return known;
    }
    let layout: &'static Struct = Box::leak(Box::new(lay_out(&key.0, &key.1)));
    made.insert(key, layout);
    layout
}

/// Places each field as a C compiler does.
fn lay_out(name: &str, given: &[Given]) -> Struct {
    let mut fields = Vec::new();
    let (mut end, mut align) = (0_u32, 1);
    for field in given {
        let bytes = field.width.bytes();
        let offset = end.next_multiple_of(bytes);
        end = offset + bytes * field.count;
        align = align.max(bytes);
        let kind = match SIZES.contains(&field.name.as_str()) && fields.is_empty() {
            true => Kind::Size,
            false => Kind::Plain,
        };
        fields.push(Field {
            name: Box::leak(field.name.clone().into_boxed_str()),
            offset,
            width: field.width,
            signed: field.signed,
            count: field.count,
            kind,
            dir: Dir::InOut,
            union: false,
        });
    }
    Struct {
        name: Box::leak(name.to_owned().into_boxed_str()),
        size: end.next_multiple_of(align),
        align,
        fields: Box::leak(fields.into_boxed_slice()),
        tail: None,
        source: SOURCE,
    }
}
