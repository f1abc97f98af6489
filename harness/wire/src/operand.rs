//! What an op reads and what it leaves behind, told by the types of its fields.
//!
//! This is the only place that decides it: the agent stores what [`Op::leaves`] says, the judge
//! and the transcript learn names from it, and the exported C program declares its variables by
//! [`Op::uses`].

use crate::{
    Counter, Fd, Location, NewFd, NewMapping, Number, Observed, Op, Outcome, Patch, Returned, Save,
    Timeout, Value, op::control::ControlOp,
};

/// One value that an op reads or leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use<'a> {
    /// It reads a number or an address.
    Reads(&'a Value),
    /// It reads a descriptor.
    ReadsFd(&'a Value),
    /// It leaves something.
    Leaves(Target<'a>),
}

/// Where an op leaves something, and what that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A descriptor: the return value.
    Fd(&'a str),
    /// The address of a mapping: the return value.
    Mapping {
        /// Its name.
        slot: &'a str,
        /// Its size in bytes.
        length: u64,
    },
    /// The return value.
    Returned(&'a str),
    /// The number that the data begins with.
    Number(&'a str),
    /// A field of the data.
    Field(&'a Save),
    /// How often the op was executed before: known only while it is repeated.
    Counter(&'a str),
}

impl<'a> Target<'a> {
    /// Its name.
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

    fn take(self, ret: u64, data: &[u8]) -> Option<u64> {
        match self {
            Self::Fd(_) | Self::Mapping { .. } | Self::Returned(_) => Some(ret),
            Self::Number(_) => Some(crate::little_endian(data)),
            Self::Field(save) => {
                // A case may give a struct that ends within one of its fields.
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
    /// Where, and what it is.
    pub target: Target<'a>,
    /// The value.
    pub value: u64,
}

impl Op {
    /// Everything that it reads and leaves, with that of the ops within it.
    pub fn uses(&self) -> Vec<Use<'_>> {
        let mut uses = Vec::new();
        self.visit(&mut uses);
        uses
    }

    /// What it has left behind, by its outcome: nothing where it failed.
    pub fn leaves(&self, outcome: &Outcome) -> Vec<Left<'_>> {
        match (self, &outcome.observed) {
            (Self::Control(ControlOp::FailNth { plan }), Observed::Injected(injected)) => {
                plan.op.leaves(&injected.last)
            }
            (Self::Control(ControlOp::Together { ops }), Observed::Together(outcomes)) => {
                let pairs = ops.iter().zip(outcomes);
                pairs.flat_map(|(op, outcome)| op.leaves(outcome)).collect()
            }
            // The outcome of a start is not yet that of what was started.
            (Self::Control(ControlOp::Start { .. }), _) => Vec::new(),
            (_, Observed::Ok { ret, data }) => {
                let left = |one| match one {
                    Use::Leaves(target) => {
                        let value = target.take(*ret, data)?;
                        Some(Left { target, value })
                    }
                    Use::Reads(_) | Use::ReadsFd(_) => None,
                };
                self.uses().into_iter().filter_map(left).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A field of an op.
pub(crate) trait Operand {
    /// Adds what it reads and leaves.
    fn visit<'a>(&'a self, _uses: &mut Vec<Use<'a>>) {}

    /// Makes every wait so many times as long.
    fn lengthen(&mut self, _factor: u64) {}
}

/// Fields that are known before the run and are no wait.
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

/// Declares the ops of a family: what they read, leave and wait for follows from their fields.
macro_rules! ops {
    (
        $(#[$meta:meta])*
        pub enum $name:ident in Op::$family:ident {
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

        impl From<$name> for $crate::Op {
            fn from(op: $name) -> Self {
                Self::$family(op)
            }
        }
    };
}
pub(crate) use ops;

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        Arg, Dma, DmaEnd, EventOp, FailNth, FileOp, Injected, IoctlOp, MemoryKind, MemoryOp,
        ProcessOp, Width,
    };

    fn outcome(observed: Observed) -> Outcome {
        Outcome { observed, us: 0 }
    }

    fn success(ret: u64, data: &[u8]) -> Outcome {
        let data = data.to_vec();
        outcome(Observed::Ok { ret, data })
    }

    fn eventfd(name: &str) -> Op {
        let save = NewFd(name.to_owned());
        EventOp::Eventfd { save }.into()
    }

    fn pread() -> Op {
        FileOp::Pread {
            fd: Fd::slot("a"),
            offset: Value::Const(0),
            length: 4,
            save: Some(Number("x".to_owned())),
        }
        .into()
    }

    fn alloc() -> Op {
        let save = NewMapping {
            length: 0x1000,
            slot: "page".to_owned(),
        };
        MemoryOp::Alloc {
            kind: MemoryKind::Anonymous,
            fill: 0,
            save,
        }
        .into()
    }

    fn ioctl() -> Op {
        let save = Save {
            offset: 4,
            width: Width::W4,
            slot: "id".to_owned(),
        };
        IoctlOp {
            fd: Fd::slot("a"),
            request: 1,
            arg: Arg::Value(Value::Const(0)),
            save: vec![save],
            save_ret: Some(Returned("ret".to_owned())),
        }
        .into()
    }

    fn within(op: Op) -> Op {
        let (process, op) = ("child".to_owned(), Box::new(op));
        ControlOp::In { process, op }.into()
    }

    fn start(op: Op) -> Op {
        let (process, op) = ("child".to_owned(), Box::new(op));
        ControlOp::Start { process, op }.into()
    }

    fn repeat(op: Op) -> Op {
        ControlOp::Repeat {
            times: 2,
            counter: Counter("n".to_owned()),
            op: Box::new(op),
        }
        .into()
    }

    fn fail_nth(op: Op) -> Op {
        let plan = FailNth {
            op,
            failed: vec![eventfd("failed")],
            failed_copy: Vec::new(),
            survived: Vec::new(),
            limit: 1,
        };
        ControlOp::FailNth {
            plan: Box::new(plan),
        }
        .into()
    }

    fn injected(last: Outcome) -> Outcome {
        let (attempts, last) = (Vec::new(), Box::new(last));
        outcome(Observed::Injected(Injected { attempts, last }))
    }

    fn errno() -> Outcome {
        let (errno, data) = (22, vec![7; 8]);
        outcome(Observed::Errno { errno, data })
    }

    #[rstest]
    #[case::a_descriptor(eventfd("irq"), success(7, &[]), &[("irq", 7)])]
    #[case::a_mapping(alloc(), success(0x7000, &[]), &[("page", 0x7000)])]
    #[case::a_number(pread(), success(2, &[1, 2]), &[("x", 0x201)])]
    #[case::fields(ioctl(), success(9, &[0, 0, 0, 0, 5, 0, 0, 0]), &[("id", 5), ("ret", 9)])]
    #[case::a_field_cut_short(ioctl(), success(0, &[0, 0, 0, 0, 5]), &[("id", 5), ("ret", 0)])]
    #[case::a_field_beyond_the_end(ioctl(), success(0, &[]), &[("id", 0), ("ret", 0)])]
    #[case::a_failure(ioctl(), errno(), &[])]
    #[case::another_process(within(eventfd("irq")), success(7, &[]), &[("irq", 7)])]
    #[case::a_start(start(eventfd("irq")), success(0, &[]), &[])]
    #[case::the_last_time(repeat(eventfd("irq")), success(7, &[]), &[("irq", 7)])]
    #[case::the_last_attempt(fail_nth(eventfd("irq")), injected(success(7, &[])), &[("irq", 7)])]
    #[case::a_last_attempt_that_fails(fail_nth(eventfd("irq")), injected(errno()), &[])]
    fn an_op_leaves_what_its_outcome_has(
        #[case] op: Op,
        #[case] outcome: Outcome,
        #[case] want: &[(&str, u64)],
    ) {
        let left = op.leaves(&outcome);
        let left: Vec<_> = left.iter().map(|it| (it.target.slot(), it.value)).collect();
        assert_eq!(left, want);
    }

    #[test]
    fn each_op_of_a_race_leaves_its_own() {
        let ops = vec![eventfd("one"), eventfd("two")];
        let op = Op::from(ControlOp::Together { ops });
        let together = outcome(Observed::Together(vec![success(1, &[]), errno()]));
        let left = op.leaves(&together);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].target, Target::Fd("one"));
        let dma = Observed::Dma(Dma {
            end: DmaEnd::Completed,
            changed: 1,
            signature: String::new(),
        });
        assert_eq!(op.leaves(&outcome(dma)), []);
    }

    #[test]
    fn what_is_read_is_told_with_what_it_is() {
        let (process, uffd) = ("child".to_owned(), Fd::slot("uffd"));
        let at = Value::slot("touched");
        let op = Op::from(ProcessOp::UffdResume { process, uffd, at });
        let (uffd, at) = (Value::slot("uffd"), Value::slot("touched"));
        assert_eq!(op.uses(), [Use::ReadsFd(&uffd), Use::Reads(&at)]);
    }
}
