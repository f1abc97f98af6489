//! `ioctl`: one that only the headers of the kernel under test have. Its number comes from them, and
//! the case gives the layout of its struct.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, PoisonError},
};

use uapi::{Arg, FdKind, Ioctl as Described, Struct};

use crate::{
    build::Builder,
    fields::Fields,
    input::Input,
    node::{Node, Tree},
    problem::Problem,
    spec::{Key, Presence, Spec},
    steps::{
        Action,
        ioctl::{Ioctl, keys::common, layout},
    },
    value,
};

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
                layout::spec(),
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
    let layout = layout
        .map(|layout| layout::read(text, layout))
        .transpose()?;
    Ok(known(text, layout.filter(|layout| layout.size > 0)))
}

/// Descriptions live as long as the program, like those of the tables: each is made once.
fn known(name: &str, layout: Option<&'static Struct>) -> &'static Described {
    // A layout is made once as well, so that its address tells it from others.
    type Made = HashMap<(String, Option<usize>), &'static Described>;
    static MADE: LazyLock<Mutex<Made>> = LazyLock::new(Mutex::default);
    let address = layout.map(|layout| std::ptr::from_ref(layout).addr());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (name.to_owned(), address);
    made.entry(key)
        .or_insert_with(|| Box::leak(Box::new(description(name, layout))))
}

fn description(name: &str, layout: Option<&'static Struct>) -> Described {
    Described {
        name: Box::leak(name.to_owned().into_boxed_str()),
        request: 0,
        on: FdKind::Device,
        arg: layout.map_or(Arg::None, Arg::Struct),
        source: layout::SOURCE,
        min_size: None,
    }
}
