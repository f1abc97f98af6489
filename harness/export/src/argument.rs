//! The third argument of an ioctl.

use case::Layout;
use uapi::Struct;
use wire::{Arg, Patch, Value};

use crate::{
    buffer::{Buffer, Words},
    number::plain,
    placeholders::Placeholders,
    text,
};

/// The argument of an ioctl, and its memory after the call.
#[derive(Debug, Default)]
pub struct Argument {
    /// Declarations, in order.
    pub declarations: Vec<String>,
    /// Statements before the call.
    pub statements: Vec<String>,
    /// The argument.
    pub expression: String,
    /// The variable that has the struct.
    pub buffer: Option<Buffer>,
    /// Statement that copies what the kernel has written elsewhere to the variable.
    pub fetch: Option<String>,
    /// Pointer to the memory that the kernel was given.
    pub memory: String,
    /// Size of the memory in bytes.
    pub length: usize,
}

/// Returns the argument of the case.
pub fn argument(
    arg: &Arg,
    layout: Layout,
    placeholders: &Placeholders,
    words: Words<'_>,
) -> Result<Argument, String> {
    match (arg, layout) {
        (Arg::Value(Value::Const(0)), _) => Ok(bare("NULL".to_owned())),
        (Arg::Value(Value::Const(number)), _) => Ok(bare(format!("{}UL", plain(*number)))),
        (Arg::Value(value), _) => Ok(bare(words.value(value)?)),
        (
            Arg::Buffer {
                bytes,
                patches,
                read_only,
            },
            Layout::Struct(layout),
        ) => structure(layout, bytes, patches, *read_only, words),
        (
            Arg::Buffer {
                bytes,
                patches,
                read_only,
            },
            Layout::Nothing,
        ) if bytes.len() == 4 => integer(bytes, patches, *read_only, words),
        (Arg::Buffer { bytes, .. }, Layout::Text) => {
            let Some((0, characters)) = bytes.split_last() else {
                return Err("a string without a terminating zero".to_owned());
            };
            let string = String::from_utf8_lossy(characters);
            Ok(bare(placeholders.text(&string)))
        }
        (Arg::Buffer { .. }, _) => Err("an argument of unknown layout".to_owned()),
    }
}

fn bare(expression: String) -> Argument {
    Argument {
        expression,
        ..Argument::default()
    }
}

fn integer(
    bytes: &[u8],
    patches: &[Patch],
    read_only: bool,
    words: Words<'_>,
) -> Result<Argument, String> {
    let value = match patches {
        [] => (wire::little_endian(bytes) as u32)
            .cast_signed()
            .to_string(),
        [patch] => match &patch.value {
            Value::Const(number) => (*number as u32).cast_signed().to_string(),
            value => words.value(value)?,
        },
        _ => return Err("an integer made of several values".to_owned()),
    };
    let name = words.variables.fresh("given");
    let expression = match read_only {
        false => format!("&{name}"),
        true => format!("read_only(at_edge(&{name}, 4, 4, 0), 4)"),
    };
    Ok(Argument {
        declarations: vec![format!("int {name} = {value};")],
        length: 4,
        ..bare(expression)
    })
}

/// Returns a struct as a variable of its type. A struct that is too short, too long or read-only is
/// copied to the end of a mapping.
fn structure(
    layout: &'static Struct,
    bytes: &[u8],
    patches: &[Patch],
    read_only: bool,
    words: Words<'_>,
) -> Result<Argument, String> {
    let buffer = Buffer::of(layout, bytes, patches, words)?;
    let mut argument = Argument {
        declarations: vec![buffer.declaration.clone()],
        statements: buffer.statements.clone(),
        length: bytes.len(),
        memory: format!("&{}", buffer.name),
        ..bare(format!("&{}", buffer.name))
    };
    if read_only || !buffer.is_whole(bytes) {
        let copied = buffer.length.min(bytes.len());
        let rest = &bytes[copied..];
        let fill = rest.first().copied().unwrap_or(0);
        if rest.iter().any(|byte| *byte != fill) {
            return Err("data behind the struct with different bytes".to_owned());
        }
        if patches
            .iter()
            .any(|patch| patch.offset >= buffer.length && patch.offset < bytes.len())
        {
            return Err("a value behind the struct".to_owned());
        }
        let edge = words.variables.fresh("edge");
        let name = &buffer.name;
        let size = match copied == buffer.length {
            true => format!("sizeof({name})"),
            false => copied.to_string(),
        };
        let length = bytes.len();
        let fill = plain(fill.into());
        argument.declarations.push(format!("void *{edge};"));
        argument.statements.push(format!(
            "{edge} = at_edge(&{name}, {size}, {length}, {fill});"
        ));
        argument.expression = match read_only {
            true => format!("read_only({edge}, {length})"),
            false => edge.clone(),
        };
        argument.memory.clone_from(&edge);
        if copied > 0 {
            argument.fetch = Some(format!("memcpy(&{name}, {edge}, {size});"));
        }
    }
    argument.buffer = Some(buffer);
    Ok(argument)
}

/// Returns the name of the ioctl, or the number of the request if no ioctl has it.
pub fn request(number: u32, layout: Layout, label: &str) -> String {
    let fits = |ioctl: &&uapi::Ioctl| {
        ioctl.request == number
            && match (ioctl.arg, layout) {
                (uapi::Arg::Struct(own), Layout::Struct(other)) => own.name == other.name,
                _ => true,
            }
    };
    let known: Vec<_> = uapi::ioctls().iter().filter(fits).collect();
    let named = known
        .iter()
        .find(|ioctl| text::names(label).contains(ioctl.name));
    named
        .or_else(|| known.iter().find(|_| matches!(layout, Layout::Struct(_))))
        .map_or_else(|| format!("{number:#x}"), |ioctl| ioctl.name.to_owned())
}
