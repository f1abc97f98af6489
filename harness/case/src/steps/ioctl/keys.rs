//! The keys that every ioctl step may have.

use uapi::{Arg, Constant, Dir, Field, Ioctl, Kind};
use wire::Abi;

use crate::{
    input::Input,
    spec::{Key, Presence, Spec},
};

/// The keys of a step that makes this ioctl.
pub fn keys(ioctl: &Ioctl) -> Vec<Key> {
    let of_struct = ioctl.layout().map_or(&[][..], |_| OF_STRUCT);
    let common = COMMON.iter().chain(of_struct);
    let mut keys: Vec<_> = common.map(Common::key).collect();
    let mut add = |name: &str, help: String, spec, presence| {
        keys.push(Key {
            name: name.to_owned(),
            help,
            spec,
            presence,
        });
    };
    match ioctl.arg {
        Arg::None => {}
        Arg::Value => add(
            "value",
            "The argument.".to_owned(),
            Spec::Value,
            Presence::Optional,
        ),
        Arg::IntPtr => add(
            "fd",
            "What the argument points to.".to_owned(),
            Spec::Value,
            Presence::Optional,
        ),
        Arg::StrPtr => add(
            "string",
            "What the argument points to; `{group.0}` is the name of a device.".to_owned(),
            Spec::Text,
            Presence::Optional,
        ),
        Arg::Struct(layout) => {
            for field in layout.fields {
                add(
                    field.name,
                    field_help(field),
                    field_spec(&field.kind),
                    Presence::Optional,
                );
            }
            if let Some(tail) = layout.tail {
                let help = "Elements of the array behind the struct.".to_owned();
                add(tail.name, help, Spec::Elements, Presence::Optional);
            }
        }
    }
    keys
}

/// The keys of a step whose ioctl has a struct that the tables do not have.
pub fn common() -> impl Iterator<Item = Key> {
    COMMON.iter().chain(OF_STRUCT).map(Common::key)
}

fn field_spec(kind: &Kind) -> Spec {
    match kind {
        Kind::Size => Spec::Either(vec![Spec::Number, Spec::Words(vec!["short", "long"])]),
        _ => Spec::Value,
    }
}

/// Describes a field: its type, who writes it, and its meaning.
pub fn field_help(field: &Field) -> String {
    let bits = 8 * field.width.bytes();
    let sign = if field.signed { "s" } else { "u" };
    let count = match field.count {
        1 => String::new(),
        count => format!("[{count}]"),
    };
    let writer = match field.dir {
        Dir::In => "read by the kernel",
        Dir::Out => "written by the kernel",
        Dir::InOut => "read and written by the kernel",
    };
    let meaning = meaning(&field.kind);
    let colon = if meaning.is_empty() { "" } else { ": " };
    format!("{sign}{bits}{count}, {writer}{colon}{meaning}.")
}

fn meaning(kind: &Kind) -> String {
    match kind {
        Kind::Flags([]) => "flags, all of them reserved".to_owned(),
        Kind::Flags(names) | Kind::Enum(names) => listed(names),
        Kind::IndexAndFlags { index, flags, .. } => {
            format!("one of {}, with {}", listed(index), listed(flags))
        }
        Kind::Size => "the size of the struct, correct by default".to_owned(),
        Kind::Fd => "a descriptor".to_owned(),
        Kind::Id(_) => "the id of an object".to_owned(),
        Kind::UserPtr(_) => "an address of the process".to_owned(),
        Kind::Reserved => "reserved, has to be 0".to_owned(),
        Kind::Iova => "an address of the device".to_owned(),
        Kind::Length => "a number of bytes".to_owned(),
        Kind::Phys => "a physical address".to_owned(),
        Kind::Counted => "a number that grows with each call".to_owned(),
        Kind::Plain => String::new(),
    }
}

fn listed(names: &[Constant]) -> String {
    let names: Vec<_> = names.iter().map(Constant::short).collect();
    names.join(", ")
}

/// A key that every ioctl step may have.
#[derive(Debug)]
pub struct Common {
    name: &'static str,
    help: &'static str,
    spec: fn() -> Spec,
    required: bool,
}

impl Common {
    fn key(&self) -> Key {
        Key {
            name: self.name.to_owned(),
            help: self.help.to_owned(),
            spec: (self.spec)(),
            presence: match self.required {
                true => Presence::Required,
                false => Presence::Optional,
            },
        }
    }
}

macro_rules! common {
    ($(#[doc = $doc:literal] $table:ident {$($name:literal: $spec:expr, $required:literal, $help:literal;)*})*) => {
        $(#[doc = $doc]
        const $table: &[Common] = &[$(Common {
            name: $name,
            help: $help,
            spec: || $spec,
            required: $required,
        }),*];)*
    };
}

common! {
    /// The keys that every ioctl step may have.
    COMMON {
        "on": Spec::Name, true, "The descriptor.";
        "errno": Spec::Errno, false, "How the call ends. Default: it succeeds.";
        "returns": Spec::Expected, false, "Return value of a successful call.";
        "save_return": Spec::Name, false, "The name for the return value.";
        "pointer": pointer(), false, "A bad pointer, or `$NAME` of memory, in place of the argument.";
        "request": Spec::Number, false, "Another number for the call.";
        "abi": Abi::spec(), false, "How the process calls the kernel: \
         `ia32` as a 32-bit program. Default: as what it is.";
    }
    /// The keys that it may have if its argument is a struct.
    OF_STRUCT {
        "expect": Spec::Fields(Box::new(Spec::Expected)), false, "Expected values of fields of \
         the struct after the call.";
        "save": Spec::Fields(Box::new(Spec::Name)), false, "Fields to save after the call, each under a name.";
        "trailing": Spec::Words(vec!["zeros", "garbage"]), false, "Data behind a struct that is \
         longer than the kernel's.";
        "mapped": Spec::Number, false, "How many bytes of the struct are in memory, independent \
         of its size.";
    }
}

fn pointer() -> Spec {
    let bad = Spec::Words(vec!["null", "unmapped", "read_only"]);
    Spec::Either(vec![bad, Spec::Value])
}
