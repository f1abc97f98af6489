//! Look-ups by name.

use std::sync::LazyLock;

use crate::types::{Capability, Constant, Element, Field, Ioctl, Struct};
use crate::{
    constants as sets, iommufd, kvm, mock, pci_regs, vfio_container, vfio_device, vfio_group,
};

static IOCTLS: LazyLock<Vec<Ioctl>> = LazyLock::new(|| {
    [
        iommufd::IOCTLS,
        mock::IOCTLS,
        vfio_container::IOCTLS,
        vfio_group::IOCTLS,
        vfio_device::IOCTLS,
        kvm::IOCTLS,
    ]
    .concat()
});

static STRUCTS: LazyLock<Vec<&'static Struct>> = LazyLock::new(|| {
    [
        iommufd::STRUCTS,
        mock::STRUCTS,
        vfio_container::STRUCTS,
        vfio_group::STRUCTS,
        vfio_device::STRUCTS,
        kvm::STRUCTS,
    ]
    .concat()
});

/// Returns every ioctl of the tables, header by header.
pub fn ioctls() -> &'static [Ioctl] {
    &IOCTLS
}

/// The ioctl of that name.
pub fn ioctl(name: &str) -> Option<&'static Ioctl> {
    ioctls().iter().find(|ioctl| ioctl.name == name)
}

/// Every structure, including those used only by pointers, tails and reads.
pub fn structs() -> &'static [&'static Struct] {
    &STRUCTS
}

/// The structure of that name, given without the `struct` keyword.
pub fn structure(name: &str) -> Option<&'static Struct> {
    structs().iter().find(|of| of.name == name).copied()
}

/// Every named number.
pub fn constants() -> impl Iterator<Item = &'static Constant> {
    let sets = sets::ALL.iter().chain(pci_regs::ALL).chain(kvm::ALL);
    sets.flat_map(|set| set.iter())
}

/// The value of the named number.
pub fn constant(name: &str) -> Option<u64> {
    constant_named(name).map(|constant| constant.value)
}

/// The named number.
pub fn constant_named(name: &str) -> Option<&'static Constant> {
    constants().find(|constant| constant.name == name)
}

/// The layout of a capability in the chain behind the info structure of that name.
pub fn capability(info: &str, id: u16) -> Option<&'static Struct> {
    let all: [&'static [Capability]; 2] = [vfio_device::CAPABILITIES, vfio_container::CAPABILITIES];
    all.into_iter()
        .flatten()
        .find(|cap| cap.info == info && cap.id == id)
        .map(|cap| cap.layout)
}

impl Struct {
    /// The field of that name, which is dotted if it is in a nested structure.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl Element {
    /// Returns the type of the data, given the fields of the structure around it, or `None` if they
    /// do not determine it. Never returns an [`Element::Chosen`].
    pub fn chosen(self, fields: impl Fn(&str) -> Option<u64>) -> Option<Element> {
        let mut element = self;
        while let Element::Chosen(choices) = element {
            element = choices
                .iter()
                .find(|choice| {
                    fields(choice.field).is_some_and(|value| value & choice.mask == choice.value)
                })?
                .element;
        }
        Some(element)
    }

    /// Returns the size of one element in bytes without a flexible tail, or `None` for a choice.
    pub fn size(self) -> Option<u32> {
        match self {
            Element::Plain { width, .. } => Some(width.bytes()),
            Element::Struct(of) => Some(of.size),
            Element::Chosen(_) => None,
        }
    }
}
