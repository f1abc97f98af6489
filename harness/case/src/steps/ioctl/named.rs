//! `ioctl`: one that only the headers of the kernel under test have. Its number comes from them, and
//! the case gives the layout of its struct.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use uapi::{Arg, Dir, FdKind, Field, Ioctl as Described, Kind, Struct, Width};

use crate::{
    build::Builder,
    fields::Fields,
    input::Input,
    node::{Node, Tree},
    problem::Problem,
    spec::{Key, Presence, Spec},
    steps::{
        Action,
        ioctl::{Ioctl, keys::common},
    },
    value,
};

/// Where the description of such an ioctl comes from.
const SOURCE: &str = "the headers of the kernel under test";
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

/// An ioctl by its name.
#[derive(Debug)]
pub struct NamedIoctl {
    name: String,
    call: Ioctl,
}

impl Input for NamedIoctl {
    fn read(node: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "ioctl")?;
        let name = fields.need("name")?;
        let layout = fields.take("layout");
        let described = describe(name, layout)?;
        let own = ["name", "layout"];
        let rest = node.entries()?.iter();
        let rest = rest.filter(|(key, _)| !own.contains(&key.text.as_str()));
        let body = Node {
            at: node.at,
            tree: Tree::Map(rest.cloned().collect()),
        };
        Ok(Self {
            name: described.name.to_owned(),
            call: Ioctl::of(described, &body)?,
        })
    }

    fn spec() -> Spec {
        let key = |name: &str, help: &str, spec, presence| Key {
            name: name.to_owned(),
            help: help.to_owned(),
            spec,
            presence,
        };
        let mut keys = vec![
            key(
                "name",
                "The ioctl, as the headers of the kernel under test name it.",
                Spec::Text,
                Presence::Required,
            ),
            key(
                "layout",
                "Its struct: each field with u8, u16, u32, u64 or s8 to s64, and `u32[4]` for an array. \
                 Without it the argument is 0.",
                Spec::Fields(Box::new(Spec::Text)),
                Presence::Optional,
            ),
        ];
        keys.extend(common());
        Spec::Open(keys)
    }

    fn doc() -> &'static str {
        " `ioctl: {name: VFIO_DEVICE_FOO, layout: {argsz: u32, flags: u32}, on: a, flags: 1}`\n\
         \n\
         For an ioctl that the tables do not have yet. The fields of its layout are keys, as those of\n\
         other ioctls are. Where the headers of the kernel do not have the name, the case is skipped; a\n\
         step with a `plan` is left out instead.\n"
    }
}

impl Action for NamedIoctl {
    fn label(&self) -> String {
        self.call.label()
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let number = to.roles.declared_number(&self.name)?;
        let request = u32::try_from(number)
            .map_err(|_| format!("an ioctl {}, which is {number:#x} here", self.name))?;
        self.call.make(request, to)
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

/// Returns the description of an ioctl and its struct.
fn describe(name: &Node, layout: Option<&Node>) -> Result<&'static Described, Problem> {
    let text = name.text()?;
    value::check_name(name.at, text)?;
    if uapi::ioctl(text).is_some() {
        let why = format!("the tables have {text}; write it as a step of its own");
        return Err(Problem::other(name.at, why));
    }
    let fields = layout.map_or(Ok(Vec::new()), read_layout)?;
    Ok(known(text, fields))
}

/// A field as a case gives it: its name, width, sign and number of elements.
type Given = (String, Width, bool, u32);

fn read_layout(node: &Node) -> Result<Vec<Given>, Problem> {
    let field = |(name, of): &(crate::node::Name, Node)| {
        let (width, signed, count) = read_type(of)?;
        Ok((name.text.clone(), width, signed, count))
    };
    node.entries()?.iter().map(field).collect()
}

fn read_type(node: &Node) -> Result<(Width, bool, u32), Problem> {
    let text = node.text()?;
    let (name, count) = match text.split_once('[') {
        None => (text, 1),
        Some((name, rest)) => {
            let count = rest.strip_suffix(']').and_then(|it| it.parse().ok());
            let count = count.filter(|count| (1..=LONGEST).contains(count));
            let what = format!("a number of elements from 1 to {LONGEST}");
            (name, count.ok_or_else(|| node.not(&what))?)
        }
    };
    let found = TYPES.iter().find(|(known, ..)| *known == name);
    let (_, width, signed) = found.ok_or_else(|| {
        let known = TYPES.iter().map(|(known, ..)| *known);
        Problem::unknown_name(node.at, "type", name, known)
    })?;
    Ok((*width, *signed, count))
}

/// Descriptions live as long as the program, like those of the tables: each is made once.
fn known(name: &str, given: Vec<Given>) -> &'static Described {
    type Made = HashMap<(String, Vec<Given>), &'static Described>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (name.to_owned(), given);
    if let Some(known) = made.get(&key) {
        return known;
    }
    let described: &'static Described = Box::leak(Box::new(description(&key.0, &key.1)));
    made.insert(key, described);
    described
}

fn description(name: &str, given: &[Given]) -> Described {
    let name: &'static str = Box::leak(name.to_owned().into_boxed_str());
    let mut fields = Vec::new();
    let (mut end, mut align) = (0_u32, 1);
    for (field, width, signed, count) in given {
        let offset = end.next_multiple_of(width.bytes());
        end = offset + width.bytes() * count;
        align = align.max(width.bytes());
        let kind = match SIZES.contains(&field.as_str()) && fields.is_empty() {
            true => Kind::Size,
            false => Kind::Plain,
        };
        fields.push(Field {
            name: Box::leak(field.clone().into_boxed_str()),
            offset,
            width: *width,
            signed: *signed,
            count: *count,
            kind,
            dir: Dir::InOut,
            union: false,
        });
    }
    let layout = Struct {
        name,
        size: end.next_multiple_of(align),
        align,
        fields: Box::leak(fields.into_boxed_slice()),
        tail: None,
        source: SOURCE,
    };
    let arg = match given.is_empty() {
        true => Arg::None,
        false => Arg::Struct(Box::leak(Box::new(layout))),
    };
    Described {
        name,
        request: 0,
        on: FdKind::Device,
        arg,
        source: SOURCE,
        min_size: None,
    }
}
