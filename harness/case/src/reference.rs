//! The reference of the case language, generated from the table of steps.

use std::fmt::Write;

use uapi::Ioctl;

use crate::{
    problem::suggest,
    spec::{Key, Presence, Spec},
    steps::{
        ioctl::keys::keys,
        table::{Entry, TABLE, step_keys},
    },
};

/// A step is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown step `{name}`: {help}")]
pub struct UnknownStep {
    /// The given name.
    pub name: String,
    /// The step that was probably meant, or how to list all.
    pub help: String,
}

/// What stands for other steps is expanded before steps are read, and is none of the table.
const USE: &str = "\
use: the steps of a prelude

`use: NAME`, `use: [NAME, NAME]` or `use: {NAME: {argument: value}}`

The preludes stand in cases/preludes.yaml, and in preludes.yaml of a folder for the cases of that
folder. A prelude is given each argument that its steps name, and no other.

- NAME: a prelude
";

/// Describes one step and its keys, for a terminal.
pub fn describe_step(name: &str) -> Result<String, UnknownStep> {
    if let Some(entry) = TABLE.iter().find(|entry| entry.key == name) {
        return Ok(described(entry));
    }
    if name == "use" {
        return Ok(USE.to_owned());
    }
    if let Some(ioctl) = uapi::ioctl(name) {
        let mut text = format!("{name}: make this ioctl; {} defines it\n\n", ioctl.source);
        write_keys(&mut text, &keys(ioctl));
        text.push('\n');
        text.push_str(&when_it_came(ioctl));
        return Ok(text);
    }
    // A structure, a field or a constant is no step, but has a history.
    if let Some(part) = uapi::history().find(|part| part.name == name) {
        return Ok(format!("{name}: {} defines it, {part}\n", part.source));
    }
    Err(UnknownStep {
        name: name.to_owned(),
        help: suggest(name, step_keys())
            .unwrap_or_else(|| "list all with `cargo xtask reference --list`".to_owned()),
    })
}

/// Says when an ioctl came, and which fields of its structure came later.
fn when_it_came(ioctl: &Ioctl) -> String {
    let named = |name: &str| uapi::history().find(|part| part.name == name);
    let Some(whole) = named(ioctl.name) else {
        return String::new();
    };
    let mut text = format!("{whole}\n");
    let prefix = ioctl.layout().map(|layout| format!("{}.", layout.name));
    let later = uapi::history().filter(|part| {
        let of_it = prefix
            .as_deref()
            .and_then(|prefix| part.name.strip_prefix(prefix));
        of_it.is_some() && part.since.series() > whole.since.series()
    });
    for part in later {
        let _ = writeln!(text, "{}: {part}", part.name);
    }
    text
}

/// Lists every step in one line, for a terminal.
pub fn list_steps() -> String {
    let mut text = String::new();
    for entry in TABLE {
        let _ = writeln!(text, "{:<18} {}", entry.key, entry.help);
    }
    let _ = writeln!(text, "{:<18} the steps of a prelude", "use");
    let ioctls = uapi::ioctls();
    let _ = writeln!(text, "\nand an ioctl by its name, one of {}:", ioctls.len());
    for ioctl in ioctls {
        let _ = writeln!(text, "{}", ioctl.name);
    }
    text
}

fn described(entry: &Entry) -> String {
    let mut text = format!("{}: {}\n\n", entry.key, entry.help);
    for line in (entry.doc)().lines() {
        let _ = writeln!(text, "{}", line.trim());
    }
    text.push('\n');
    write_spec(&mut text, &(entry.spec)());
    text
}

fn write_spec(text: &mut String, spec: &Spec) {
    match spec {
        Spec::Mapping(keys) | Spec::Open(keys) => write_keys(text, keys),
        Spec::Named(of) => {
            text.push_str("A mapping from names; under each one:\n\n");
            write_spec(text, of);
        }
        Spec::Process(of) => {
            text.push_str("A mapping from the name of one process to:\n\n");
            write_spec(text, of);
        }
        Spec::Either(specs) => {
            for (index, spec) in specs.iter().enumerate() {
                text.push_str(if index > 0 { "\nor\n\n" } else { "" });
                write_spec(text, spec);
            }
        }
        other => {
            let _ = writeln!(text, "- {}", said(other));
        }
    }
}

fn write_keys(text: &mut String, keys: &[Key]) {
    for key in keys {
        let presence = match &key.presence {
            Presence::Required => "; required".to_owned(),
            Presence::Default(value) if !value.is_empty() => format!("; default {value}"),
            Presence::Optional | Presence::Default(_) => String::new(),
        };
        let help = if key.help.is_empty() {
            String::new()
        } else {
            format!(" {}", key.help)
        };
        let _ = writeln!(
            text,
            "- `{}` ({}{presence}){help}",
            key.name,
            said(&key.spec)
        );
    }
}

/// Describes the allowed values in a few words.
fn said(spec: &Spec) -> String {
    match spec {
        Spec::Number => "number".to_owned(),
        Spec::Flag => "true or false".to_owned(),
        Spec::Text => "text".to_owned(),
        Spec::Name => "name".to_owned(),
        Spec::Value => "value".to_owned(),
        Spec::Expected => "expected value".to_owned(),
        Spec::Errno => "errno".to_owned(),
        Spec::Plan => "plan".to_owned(),
        Spec::Device => "device".to_owned(),
        Spec::Group => "group".to_owned(),
        Spec::Words(words) if words.len() > 12 => "name of a struct".to_owned(),
        Spec::Words(words) => words.join(", "),
        Spec::List(of) => format!("{}, or a list", said(of)),
        Spec::Mapping(_) | Spec::Open(_) => "mapping".to_owned(),
        Spec::Named(of) => format!("mapping from names to: {}", said(of)),
        Spec::Process(of) => format!("mapping from a process to: {}", said(of)),
        Spec::Either(specs) => {
            let all: Vec<_> = specs.iter().map(said).collect();
            all.join(" or ")
        }
        Spec::Struct => "struct with fields".to_owned(),
        Spec::Fields(of) => format!("mapping from fields to: {}", said(of)),
        Spec::Elements => "list of elements".to_owned(),
        Spec::Step => "step".to_owned(),
        Spec::Steps => "steps".to_owned(),
    }
}

/// Returns the text of the reference.
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    let mut family = "";
    for entry in TABLE {
        if entry.family != family {
            family = entry.family;
            let _ = write!(text, "\n## Steps: {family}\n");
        }
        let _ = write!(text, "\n### `{}`\n\n{}\n\n", entry.key, entry.help);
        for line in (entry.doc)().lines() {
            let _ = writeln!(text, "{}", line.trim());
        }
        text.push('\n');
        write_spec(&mut text, &(entry.spec)());
    }
    text.push_str("\n## Steps: ioctls\n\n");
    text.push_str(IOCTLS);
    if let Some(info) = uapi::ioctl("VFIO_DEVICE_GET_INFO") {
        let own: Vec<_> = info
            .layout()
            .map_or(&[][..], |layout| layout.fields)
            .iter()
            .collect();
        let common = keys(info).into_iter();
        let common = common.filter(|key| !own.iter().any(|field| field.name == key.name));
        write_keys(&mut text, &common.collect::<Vec<_>>());
    }
    text
}

const IOCTLS: &str = "\
The key of the step is the name of the ioctl. The keys of its body are the fields of its struct and the
name of the array behind it. Fields that are not given are zero, and `size` and `argsz` are correct.
`cargo xtask reference NAME` shows the fields of one ioctl. An argument that is not a struct is `value`,
`fd` or `string`. Every ioctl also has these keys:

";

const HEAD: &str = "\
# Reference of the case language

`cargo xtask reference` writes this file from the table of steps; `cargo xtask reference NAME` shows
one step. `cases/schema.json` is generated from the same table.

## Values

- **value**: a number, the name of a constant of the uAPI, a list of constants for all of their bits,
  or `$NAME` of something saved, with an offset behind it (`$NAME+0x1000`).
- **expected value**: a value, or `{not: value}`, `{has: bits}`, `{lacks: bits}`.
- **errno**: the name of an errno, `none` for success, or `any` for a failure with any errno, where no
  rule names one.
- **plan**: what is expected instead on a kernel that conforms to the plan of 2021. Every step may have
  one. It is an errno, a signal, `lands` or `blocked`; or `{key: value}` with keys that replace those of the
  step (`null` removes one). It belongs to the clauses that the case deviates from, or
  `{CLAUSE: plan}` names them.
- **device**: `group.0` is the first device of the case's group that does DMA on demand, `group.1` the
  second, `group.host-driver` the one with a host driver; `other.0` is in another group, of the same
  shape if there is one; `mdev.0` is in the group of that shape.
- **group**: `group`, `other`, or the name of a shape.
- `row.NAME` is the value of the row in a `table:`, `arg.NAME` that of the argument of a prelude. A key
  whose value a row does not have is left out. `..: row` copies every key of the row into a mapping,
  `..: row.NAME` every key of a mapping in it.
- In paths and texts `{group}` is the number of the group, `{group.0}` the name of a device.
- `use: NAME`, or `use: {NAME: {argument: value}}`, is replaced by the steps of a prelude.
";
