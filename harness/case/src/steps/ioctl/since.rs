//! The release that a value needs.
//!
//! Judged by what reaches the kernel, not by the names in a case: a flag is as new by its number.
//! A 0 needs nothing, because a kernel that does not know a field takes no other value.
//!
//! An expected value needs its release as well if the kernel has to return it: an older one
//! cannot. That a value or bit is absent holds on any kernel, so `not` and `lacks` need nothing.

use uapi::{Element, Field, Struct};
use wire::Value;

use crate::{
    expect::{FieldWant, Want},
    role::RoleBindings,
};

/// Checks that the guest's kernel has what a struct and its flexible array use.
pub fn need_struct(
    roles: &RoleBindings<'_>,
    layout: &'static Struct,
    bytes: &[u8],
) -> Result<(), String> {
    let value = |field: &Field| field.get(bytes);
    for field in layout.fields {
        need_field(roles, layout, field, value(field).unwrap_or_default())?;
    }
    let Some(tail) = layout.tail else {
        return Ok(());
    };
    let chosen = tail.element.chosen(|name| value(layout.field(name)?));
    let Some(Element::Struct(element)) = chosen else {
        return Ok(());
    };
    let data = bytes.get(tail.offset as usize..).unwrap_or_default();
    let elements = data.chunks_exact(element.size.max(1) as usize);
    // The elements of an array have no arrays.
    let elements = elements.take(if element.tail.is_some() {
        1
    } else {
        usize::MAX
    });
    for bytes in elements {
        need_struct(roles, element, bytes)?;
    }
    Ok(())
}

/// Checks that the guest's kernel has a field that is not 0, and the flags or the number in it.
pub fn need_field(
    roles: &RoleBindings<'_>,
    layout: &'static Struct,
    field: &Field,
    value: u64,
) -> Result<(), String> {
    if value == 0 {
        return Ok(());
    }
    let name = format!("{}.{}", layout.name, field.name);
    roles.need_series(&name, layout.since_field(field))?;
    need_named(roles, field, value)
}

/// Checks that the guest's kernel can return what is expected of a struct and what is behind it.
pub fn need_expected(
    roles: &RoleBindings<'_>,
    layout: &'static Struct,
    wants: &[FieldWant],
) -> Result<(), String> {
    for FieldWant { field, base, want } in wants {
        let (Want::Is(Value::Const(value)) | Want::Has(value)) = want else {
            continue;
        };
        match layout.field(field.name) {
            Some(own) if *base == 0 && own == *field => need_field(roles, layout, field, *value)?,
            _ => need_named(roles, field, *value)?,
        }
    }
    Ok(())
}

fn need_named(roles: &RoleBindings<'_>, field: &Field, value: u64) -> Result<(), String> {
    let named = field.named_in(value).into_iter();
    let mut newer = named.map(|constant| roles.need_series(constant.name, constant.since()));
    newer.find(Result::is_err).unwrap_or(Ok(()))
}
