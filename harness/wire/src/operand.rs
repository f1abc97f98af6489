//! The values that an op reads and leaves, derived from the types of its fields.
//!
//! Only this module decides it: the agent stores the values of [`Op::leaves`](crate::Op::leaves), the judge and the
//! transcript learn names from it, and the exported C program declares its variables by
//! [`Op::uses`](crate::Op::uses).

use crate::{
    Counter, Fd, Location, NewFd, NewMapping, Number, Patch, Returned, Save, Timeout, Value,
};

/// One value that an op reads or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use<'a> {
    /// It reads a number or an address.
    Reads(&'a Value),
    /// It reads a descriptor.
    ReadsFd(&'a Value),
    /// It leaves a value.
    Leaves(Target<'a>),
}

/// The name and kind of a value that an op leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A descriptor: the return value.
    Fd(&'a str),
    /// The address of a mapping: the return value.
    Mapping {
        /// Name under which later ops find it.
        slot: &'a str,
        /// Its size in bytes.
        length: u64,
    },
    /// The return value.
    Returned(&'a str),
    /// The number at the start of the data.
    Number(&'a str),
    /// A field of the data.
    Field(&'a Save),
    /// The number of earlier executions, which is known only while the op is repeated.
    Counter(&'a str),
}

impl<'a> Target<'a> {
    /// Name under which later ops find the value.
    pub fn slot(self) -> &'a str {
        match self {
            Self::Fd(slot)
            | Self::Mapping { slot, .. }
            | Self::Returned(slot)
            | Self::Number(slot)
            | Self::Counter(slot) => slot,
            Self::Field(save) => &save.slot,
        }
    }

    pub(crate) fn take(self, ret: u64, data: &[u8]) -> Option<u64> {
        match self {
            Self::Fd(_) | Self::Mapping { .. } | Self::Returned(_) => Some(ret),
            Self::Number(_) => Some(crate::little_endian(data)),
            Self::Field(save) => {
                // A case may give a struct that ends inside one of its fields.
                let from = data.get(save.offset..).unwrap_or_default();
                let length = from.len().min(save.width.bytes());
                Some(crate::little_endian(&from[..length]))
            }
            Self::Counter(_) => None,
        }
    }
}

/// A value that an executed op has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left<'a> {
    /// Its name and kind.
    pub target: Target<'a>,
    /// The number that the op left.
    pub value: u64,
}

/// A field of an op.
pub(crate) trait Operand {
    /// Adds what it reads and leaves.
    fn visit<'a>(&'a self, _uses: &mut Vec<Use<'a>>) {}

    /// Multiplies every wait by this factor.
    fn lengthen(&mut self, _factor: u64) {}
}

/// Fields that are known before the run and are not a wait.
macro_rules! constants {
    ($($type:ty),* $(,)?) => {
        $(impl $crate::operand::Operand for $type {})*
    };
}
pub(crate) use constants;

constants!(bool, u8, u16, u32, u64, String);

impl<T: Operand> Operand for Option<T> {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        self.iter().for_each(|it| it.visit(uses));
    }

    fn lengthen(&mut self, factor: u64) {
        self.iter_mut().for_each(|it| it.lengthen(factor));
    }
}

impl<T: Operand> Operand for Vec<T> {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        self.iter().for_each(|it| it.visit(uses));
    }

    fn lengthen(&mut self, factor: u64) {
        self.iter_mut().for_each(|it| it.lengthen(factor));
    }
}

impl<T: Operand> Operand for Box<T> {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        (**self).visit(uses);
    }

    fn lengthen(&mut self, factor: u64) {
        (**self).lengthen(factor);
    }
}

impl Operand for Value {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        uses.push(Use::Reads(self));
    }
}

impl Operand for Fd {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        uses.push(Use::ReadsFd(&self.0));
    }
}

impl Operand for Patch {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        self.value.visit(uses);
    }
}

impl Operand for Location {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        if let Self::Descriptor(fd) = self {
            fd.visit(uses);
        }
    }
}

impl Operand for Timeout {
    fn lengthen(&mut self, factor: u64) {
        self.0 = self.0.saturating_mul(factor);
    }
}

/// Fields that receive something.
macro_rules! targets {
    ($($type:ident: $it:ident => $target:expr;)*) => {
        $(impl Operand for $type {
            fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
                let $it = self;
                uses.push(Use::Leaves($target));
            }
        })*
    };
}

targets! {
    NewFd: it => Target::Fd(&it.0);
    NewMapping: it => Target::Mapping { slot: &it.slot, length: it.length };
    Returned: it => Target::Returned(&it.0);
    Number: it => Target::Number(&it.0);
    Save: it => Target::Field(it);
    Counter: it => Target::Counter(&it.0);
}

/// Declares the ops of a family. What they read, leave and wait for is derived from their fields.
macro_rules! ops {
    (
        $(#[$meta:meta])*
        pub enum $name:ident {
            $(
                $(#[$variant_meta:meta])*
                $variant:ident {
                    $($(#[$field_meta:meta])* $field:ident: $type:ty,)*
                },
            )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $(
                $(#[$variant_meta])*
                $variant {
                    $($(#[$field_meta])* $field: $type,)*
                },
            )*
        }

        impl $name {
            /// The names of all.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($variant)),*];
        }

        impl $crate::operand::Operand for $name {
            fn visit<'a>(&'a self, uses: &mut Vec<$crate::operand::Use<'a>>) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        $($crate::operand::Operand::visit($field, uses);)*
                    })*
                }
            }

            fn lengthen(&mut self, factor: u64) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        $($crate::operand::Operand::lengthen($field, factor);)*
                    })*
                }
            }
        }
    };
}
pub(crate) use ops;
