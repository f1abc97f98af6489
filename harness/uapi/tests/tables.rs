//! What has to hold within the tables themselves.

use std::collections::BTreeSet;

use uapi::{Arg, Constant, Element, Field, Kind, Struct, Unit};

fn fields() -> impl Iterator<Item = (&'static Struct, &'static Field)> {
    uapi::structs()
        .iter()
        .flat_map(|of| of.fields.iter().map(move |field| (*of, field)))
}

fn sets(field: &Field) -> Vec<&'static [Constant]> {
    match field.kind {
        Kind::Flags(set) | Kind::Enum(set) => vec![set],
        Kind::IndexAndFlags { index, flags, .. } => vec![index, flags],
        _ => vec![],
    }
}

#[test]
fn names_are_unique() {
    let mut seen = BTreeSet::new();
    let names = uapi::ioctls()
        .iter()
        .map(|ioctl| ioctl.name)
        .chain(uapi::constants().map(|constant| constant.name))
        .chain(uapi::structs().iter().map(|of| of.name))
        .chain(uapi::ERRNOS.iter().map(|(name, _)| *name));
    for name in names {
        assert!(seen.insert(name), "{name} is there twice");
    }
    for of in uapi::structs() {
        let mut seen = BTreeSet::new();
        for name in of.fields.iter().map(|field| field.name) {
            assert!(seen.insert(name), "{}.{name} is there twice", of.name);
        }
    }
}

#[test]
fn requests_are_unique_per_descriptor() {
    let mut seen = BTreeSet::new();
    for ioctl in uapi::ioctls() {
        assert!(
            seen.insert((ioctl.on, ioctl.request)),
            "{} has the number of another",
            ioctl.name
        );
    }
}

#[test]
fn only_unions_overlap() {
    for of in uapi::structs() {
        let mut end = 0;
        for field in of.fields {
            assert!(
                field.end() <= of.size,
                "{}.{} sticks out",
                of.name,
                field.name
            );
            assert!(
                field.union || field.offset >= end,
                "{}.{} overlaps",
                of.name,
                field.name
            );
            end = end.max(field.end());
        }
    }
}

#[test]
fn every_structure_with_a_size_states_its_smallest() {
    for ioctl in uapi::ioctls() {
        match ioctl.arg {
            // Its requests have the size in them.
            Arg::Struct(of) if of.source == uapi::KVM_H => {
                assert_eq!(ioctl.request >> 16 & 0x3fff, of.size, "{}", ioctl.name);
            }
            Arg::Struct(of) => {
                let min = ioctl.min_size.unwrap();
                assert!(min <= of.size, "{}", ioctl.name);
                assert_eq!(of.fields[0].kind, Kind::Size, "{}", ioctl.name);
                assert!(
                    of.fields.iter().any(|field| field.end() == min),
                    "{}: {min} is within a field",
                    ioctl.name
                );
            }
            _ => assert_eq!(ioctl.min_size, None, "{}", ioctl.name),
        }
    }
}

#[test]
fn structures_referred_to_are_listed() {
    fn check(element: Element, of: &Struct) {
        match element {
            Element::Plain { .. } => {}
            Element::Struct(inner) => {
                let listed = uapi::structure(inner.name);
                assert_eq!(listed, Some(inner), "{} in {}", inner.name, of.name);
            }
            Element::Chosen(choices) => {
                for choice in choices {
                    assert!(of.field(choice.field).is_some(), "{}", choice.field);
                    assert_eq!(choice.value & !choice.mask, 0, "{}", of.name);
                    check(choice.element, of);
                }
            }
        }
    }
    for of in uapi::structs() {
        if let Some(tail) = of.tail {
            check(tail.element, of);
            assert!(tail.count.is_none_or(|name| of.field(name).is_some()));
        }
    }
    for (of, field) in fields() {
        let Kind::UserPtr(pointee) = field.kind else {
            continue;
        };
        check(pointee.element, of);
        let also = match pointee.unit {
            Unit::ElementsOf(name) | Unit::Bits(name) => Some(name),
            _ => None,
        };
        for name in pointee.len.into_iter().chain(also) {
            assert!(of.field(name).is_some(), "{}.{name}", of.name);
        }
    }
    for ioctl in uapi::ioctls() {
        if let Arg::Struct(of) = ioctl.arg {
            assert_eq!(uapi::structure(of.name), Some(of));
        }
    }
}

#[test]
fn sets_name_bits_apart() {
    for (of, field) in fields() {
        let what = format!("{}.{}", of.name, field.name);
        for set in sets(field) {
            let mut shorts = BTreeSet::new();
            for constant in set {
                assert!(field.fits(constant.value), "{what}: {}", constant.name);
                assert!(constant.name.starts_with(constant.prefix), "{what}");
                assert!(shorts.insert(constant.short()), "{what}: {constant:?}");
                // Otherwise a text could be meant as a number.
                assert!(
                    !constant.short().starts_with(|c: char| c.is_ascii_digit()),
                    "{what}: {constant:?}"
                );
                assert_eq!(uapi::constant_named(constant.name), Some(constant));
            }
        }
        let flags = match field.kind {
            Kind::Flags(flags) => flags,
            Kind::IndexAndFlags { flags, mask, .. } => {
                assert!(flags.iter().all(|flag| flag.value & mask == 0), "{what}");
                flags
            }
            _ => continue,
        };
        let mut bits = 0;
        for flag in flags {
            assert_eq!(flag.value.count_ones(), 1, "{what}: {}", flag.name);
            assert_eq!(flag.value & bits, 0, "{what}: {}", flag.name);
            bits |= flag.value;
        }
    }
}

#[test]
fn capabilities_begin_with_their_header() {
    for (info, id) in [
        ("vfio_device_info", 5),
        ("vfio_region_info", 1),
        ("vfio_region_info", 3),
        ("vfio_iommu_type1_info", 1),
        ("vfio_iommu_type1_info", 3),
    ] {
        let of = uapi::capability(info, id).unwrap();
        let ends: Vec<u32> = of.fields[..3].iter().map(Field::end).collect();
        assert_eq!(ends, [2, 4, 8], "{}", of.name);
    }
    assert_eq!(uapi::capability("vfio_irq_info", 1), None);
    assert_eq!(uapi::capability("vfio_region_info", 99), None);
}
