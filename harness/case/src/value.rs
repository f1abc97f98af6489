//! Values in a case: numbers, names, and values that earlier steps saved.

use wire::Value;

use crate::{
    expect::{Want, WantEnd},
    node::{At, Name, Node, Tree},
    problem::Problem,
};

/// Reads a number, the name of a constant, a list of these for all of their bits, or `$slot`,
/// `$slot+offset`, `$slot-offset`.
pub fn value(node: &Node) -> Result<Value, Problem> {
    match &node.tree {
        Tree::Int(number) => Ok(Value::Const(*number)),
        Tree::Text(text) => match text.strip_prefix('$') {
            Some(rest) => slot(node, rest),
            None => constant(node, text).map(Value::Const),
        },
        Tree::List(items) => bits(items).map(Value::Const),
        _ => Err(node.not("a number, the name of a constant, or $NAME of something saved")),
    }
}

fn bits(items: &[Node]) -> Result<u64, Problem> {
    items.iter().try_fold(0, |bits, item| match value(item)? {
        Value::Const(more) => Ok(bits | more),
        Value::Slot { .. } => Err(item.not("bits that are known before the run")),
    })
}

/// Reads the value of a field, which may use the names of its flags or values, and names that only
/// the headers of the kernel under test have.
pub fn field_value(node: &Node, field: &uapi::Field) -> Result<Value, Problem> {
    match &node.tree {
        Tree::List(items) => {
            let (mut bits, mut named) = (0, None);
            for item in items {
                match (declared(item)?, &named) {
                    (None, _) => bits |= field_number(item, field)?,
                    (Some(name), None) => named = Some(name),
                    (Some(_), Some(_)) => return Err(item.not("one name of the headers at most")),
                }
            }
            Ok(match named {
                Some(name) => Value::Slot { name, add: bits },
                None => Value::Const(bits),
            })
        }
        Tree::Text(text) if !text.starts_with('$') => match declared(node)? {
            Some(name) => Ok(Value::Slot { name, add: 0 }),
            None => field_number(node, field).map(Value::Const),
        },
        _ => fits(node, field, value(node)?),
    }
}

/// Begins a name that is not in the tables, and has its number from the kernel's headers. A slot
/// with such a name is none of the agent's: the bits in its `add` are added before the run. No step
/// can save anything under it, because it is no identifier.
const DECLARED: &str = "headers.";

/// Reads `headers.NAME`, and returns it whole.
fn declared(node: &Node) -> Result<Option<String>, Problem> {
    let Tree::Text(text) = &node.tree else {
        return Ok(None);
    };
    let Some(name) = declared_name(text) else {
        return Ok(None);
    };
    check_name(node.at, name)?;
    if uapi::constant(name).is_some() {
        let text = format!("the tables have {name}; write it without `{DECLARED}`");
        return Err(Problem::other(node.at, text));
    }
    Ok(Some(text.clone()))
}

/// The name that only headers have, if a slot stands for one.
pub fn declared_name(slot: &str) -> Option<&str> {
    slot.strip_prefix(DECLARED)
}

fn fits(node: &Node, field: &uapi::Field, value: Value) -> Result<Value, Problem> {
    match value {
        Value::Const(number) if !field.fits(number) => {
            let text = format!(
                "{number:#x} does not fit `{}` ({} bytes)",
                field.name,
                field.size()
            );
            Err(Problem::other(node.at, text))
        }
        value => Ok(value),
    }
}

fn field_number(node: &Node, field: &uapi::Field) -> Result<u64, Problem> {
    match &node.tree {
        Tree::Int(number) => Ok(*number),
        Tree::Text(text) => match field.parse(text) {
            Ok(number) => Ok(number),
            Err(error) => constant(node, text).map_err(|_| {
                let what = format!("value of `{}`", field.name);
                Problem::unknown_name(node.at, &what, text, []).help(error.to_string())
            }),
        },
        _ => Err(node.not("a number or a name")),
    }
}

/// Number of a named constant of the uAPI.
fn constant(node: &Node, text: &str) -> Result<u64, Problem> {
    uapi::constant(text).ok_or_else(|| {
        let known = uapi::constants().map(|c| c.name);
        Problem::unknown_name(node.at, "constant", text, known)
    })
}

fn slot(node: &Node, text: &str) -> Result<Value, Problem> {
    let (name, add) = match text.find(['+', '-']) {
        None => (text, 0),
        Some(at) => {
            let number = parse_number(&text[at + 1..])
                .ok_or_else(|| node.not("a number after the sign of `$NAME+NUMBER`"))?;
            let add = if text.as_bytes()[at] == b'-' {
                number.wrapping_neg()
            } else {
                number
            };
            (&text[..at], add)
        }
    };
    check_name(node.at, name)?;
    Ok(Value::Slot {
        name: name.to_owned(),
        add,
    })
}

/// Checks that the name of a slot is an identifier.
pub fn check_name(at: At, name: &str) -> Result<(), Problem> {
    let fine = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fine && name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Ok(());
    }
    Err(Problem::expected(
        at,
        "a name of letters, digits and _",
        &format!("`{name}`"),
    ))
}

/// A decimal or hexadecimal number.
pub fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Number of an errno name.
pub fn errno(node: &Node) -> Result<i32, Problem> {
    let name = node.text()?;
    uapi::errno(name).ok_or_else(|| {
        let known = uapi::ERRNOS.iter().map(|(name, _)| *name);
        Problem::unknown_name(node.at, "errno", name, known)
    })
}

/// Reads the name of an errno, `none` for success, or `any` for a failure with any errno.
pub fn end(node: &Node) -> Result<WantEnd, Problem> {
    match node.text()? {
        "none" => Ok(WantEnd::Success),
        "any" => Ok(WantEnd::Refused),
        _ => errno(node).map(WantEnd::Errno),
    }
}

/// Reads one expected value: bare, or `{not: ..}`, `{has: ..}`, `{lacks: ..}`.
pub fn want(node: &Node, read: impl Fn(&Node) -> Result<Value, Problem>) -> Result<Want, Problem> {
    match &node.tree {
        Tree::Map(_) => {
            let (key, node) = node.single()?;
            relation(key, node, read)
        }
        _ => read(node).map(Want::Is),
    }
}

/// Reads the entry of `{not: ..}`, `{has: ..}`, `{lacks: ..}`.
pub fn relation(
    key: &Name,
    node: &Node,
    read: impl Fn(&Node) -> Result<Value, Problem>,
) -> Result<Want, Problem> {
    let value = read(node)?;
    match (key.text.as_str(), value) {
        ("not", value) => Ok(Want::Not(value)),
        ("has", Value::Const(bits)) => Ok(Want::Has(bits)),
        ("lacks", Value::Const(bits)) => Ok(Want::Lacks(bits)),
        ("has" | "lacks", _) => Err(node.not("bits that are known before the run")),
        (other, _) => Err(Problem::unknown_name(
            key.at,
            "relation",
            other,
            ["not", "has", "lacks"],
        )),
    }
}

/// A value as a case writes it.
pub fn show(value: &Value) -> String {
    match value {
        Value::Const(number) => format!("{number:#x}"),
        Value::Slot { name, add: 0 } => format!("${name}"),
        Value::Slot { name, add } => format!("${name}+{add:#x}"),
    }
}
