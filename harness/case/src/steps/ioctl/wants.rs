//! Expected values in the struct of an ioctl, and behind it.

use uapi::{Element, Field, Struct};

use crate::{
    expect::FieldWant,
    node::{Name, Node, Tree},
    problem::Problem,
    role::{Member, Role, Which},
    steps::ioctl::{
        fields::{read_field_want, read_struct},
        payload::{Payload, find_field},
    },
};

/// A field that has to hold the number of a group, which is only known in the guest.
pub type GroupWant = (&'static Field, usize, Which);

/// Key for the capabilities behind an info struct.
const CAPABILITIES: &str = "capabilities";

/// Expected values in the struct of an ioctl.
#[derive(Default)]
pub struct Wants {
    /// Fields with values that are known.
    pub fields: Vec<FieldWant>,
    /// Fields that hold the number of a group.
    pub groups: Vec<GroupWant>,
}

impl Wants {
    /// Reads `expect` of an ioctl: fields, the elements of the flexible array under its name, and
    /// under `capabilities` the structs of the chain behind an info struct, in its order.
    pub fn read(
        node: &Node,
        layout: &'static Struct,
        payload: Option<Payload>,
    ) -> Result<Self, Problem> {
        let mut wants = Self::default();
        for (name, want) in node.entries()? {
            match (layout.tail, find_field(Some(layout), payload, &name.text)) {
                (Some(tail), None) if tail.name == name.text => wants.read_tail(tail, want)?,
                (_, None) if name.text == CAPABILITIES => {
                    wants.fields.extend(read_chain_wants(want, layout)?);
                }
                (_, found) => wants.read_one(name, want, layout, found)?,
            }
        }
        Ok(wants)
    }

    fn read_tail(&mut self, tail: &uapi::Tail, node: &Node) -> Result<(), Problem> {
        let Element::Struct(layout) = tail.element else {
            let text = format!("`{}` does not consist of structs", tail.name);
            return Err(Problem::other(node.at, text));
        };
        for (index, item) in node.items().iter().enumerate() {
            let base = tail.offset as usize + index * layout.size as usize;
            for (name, want) in item.entries()? {
                let found = layout.field(&name.text).map(|field| (field, base));
                self.read_one(name, want, layout, found)?;
            }
        }
        Ok(())
    }

    fn read_one(
        &mut self,
        name: &Name,
        want: &Node,
        layout: &'static Struct,
        found: Option<(&'static Field, usize)>,
    ) -> Result<(), Problem> {
        let (field, base) = found.ok_or_else(|| {
            let known = layout.fields.iter().map(|field| field.name);
            Problem::unknown_key(name.at, &name.text, layout.name, known)
        })?;
        match group_named(want) {
            Some(which) => self.groups.push((field, base, which)),
            None => self.fields.extend(read_field_want(want, field, base)?),
        }
        Ok(())
    }
}

/// The kernel puts the chain right behind the struct, each capability at a multiple of eight.
fn read_chain_wants(node: &Node, info: &'static Struct) -> Result<Vec<FieldWant>, Problem> {
    let mut wants = Wants::default();
    let mut base = info.size as usize;
    for item in node.items() {
        let named = item.entries()?.iter().find(|(key, _)| key.text == "struct");
        let missing = || Problem::missing(item.at, "struct", "a capability");
        let layout = read_struct(&named.ok_or_else(missing)?.1)?;
        for (name, want) in item.entries()? {
            if name.text != "struct" {
                let found = layout.field(&name.text).map(|field| (field, base));
                wants.read_one(name, want, layout, found)?;
            }
        }
        base += (layout.size as usize).next_multiple_of(8);
    }
    Ok(wants.fields)
}

/// `{group}` or `{other}`.
fn group_named(node: &Node) -> Option<Which> {
    let Tree::Text(text) = &node.tree else {
        return None;
    };
    let role = Role::named(text.strip_prefix('{')?.strip_suffix('}')?)?;
    (role.member == Member::Whole).then_some(role.which)
}
