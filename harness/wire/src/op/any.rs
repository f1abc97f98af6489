//! Any op.

use serde::{Deserialize, Serialize};

use crate::{
    Observed, Outcome,
    op::{
        control::ControlOp, dma::DmaOp, event::EventOp, file::FileOp, ioctl::IoctlOp,
        memory::MemoryOp, pci::PciOp, process::ProcessOp,
    },
    operand::{Left, Operand, Use},
};

/// One primitive that the agent can execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// One call of `ioctl(2)`.
    Ioctl(IoctlOp),
    /// Memory of the process, and memfds.
    Memory(MemoryOp),
    /// Files: device nodes, sysfs, procfs.
    File(FileOp),
    /// Eventfds, and waiting for them.
    Event(EventOp),
    /// PCI devices and their drivers.
    Pci(PciOp),
    /// DMA by devices.
    Dma(DmaOp),
    /// Processes, their rights and limits.
    Process(ProcessOp),
    /// Ops that execute other ops.
    Control(ControlOp),
}

impl Op {
    /// Returns the innermost op, which `In`, `Repeat` and similar ops execute.
    pub fn innermost(&self) -> &Self {
        match self {
            Self::Control(
                ControlOp::In { op, .. }
                | ControlOp::Finish { op, .. }
                | ControlOp::Repeat { op, .. },
            ) => op.innermost(),
            op => op,
        }
    }
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
            (Self::Control(ControlOp::Together { ops, .. }), Observed::Together(racers)) => {
                let pairs = ops.iter().zip(racers);
                pairs
                    .flat_map(|(op, racer)| op.leaves(&racer.outcome))
                    .collect()
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

/// An op of a family is an op.
macro_rules! families {
    ($($family:ident: $ops:ident),* $(,)?) => {
        $(impl From<$ops> for Op {
            fn from(op: $ops) -> Self {
                Self::$family(op)
            }
        })*
    };
}

families! {
    Ioctl: IoctlOp,
    Memory: MemoryOp,
    File: FileOp,
    Event: EventOp,
    Pci: PciOp,
    Dma: DmaOp,
    Process: ProcessOp,
    Control: ControlOp,
}

impl Operand for Op {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        match self {
            Self::Ioctl(op) => op.visit(uses),
            Self::Memory(op) => op.visit(uses),
            Self::File(op) => op.visit(uses),
            Self::Event(op) => op.visit(uses),
            Self::Pci(op) => op.visit(uses),
            Self::Dma(op) => op.visit(uses),
            Self::Process(op) => op.visit(uses),
            Self::Control(op) => op.visit(uses),
        }
    }

    fn lengthen(&mut self, factor: u64) {
        match self {
            Self::Ioctl(op) => op.lengthen(factor),
            Self::Memory(op) => op.lengthen(factor),
            Self::File(op) => op.lengthen(factor),
            Self::Event(op) => op.lengthen(factor),
            Self::Pci(op) => op.lengthen(factor),
            Self::Dma(op) => op.lengthen(factor),
            Self::Process(op) => op.lengthen(factor),
            Self::Control(op) => op.lengthen(factor),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{
        Abi, Arg, Counter, Dma, DmaEnd, EventOp, FailNth, Fd, FileOp, Injected, IoctlOp,
        MemoryKind, MemoryOp, NewFd, NewMapping, Number, ProcessOp, Racer, Returned, Save, Target,
        Value, Width,
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
            abi: Abi::Native,
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
        let delays = Vec::new();
        let op = Op::from(ControlOp::Together { ops, delays });
        let racer = |outcome| Racer {
            outcome,
            began: 0,
            ended: 1,
        };
        let racers = [success(1, &[]), errno()].map(racer);
        let together = outcome(Observed::Together(racers.into()));
        let left = op.leaves(&together);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].target, Target::Fd("one"));
        let dma = Observed::Dma(Dma {
            access: crate::DmaAccess::Write,
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
