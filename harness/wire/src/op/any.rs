//! Any op.

use serde::{Deserialize, Serialize};

use crate::{
    op::{
        control::ControlOp, dma::DmaOp, event::EventOp, file::FileOp, ioctl::IoctlOp,
        memory::MemoryOp, pci::PciOp, process::ProcessOp,
    },
    operand::{Operand, Use},
};

/// One primitive that the agent can execute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// `ioctl(2)`.
    Ioctl(IoctlOp),
    /// Memory of the process, and files that are memory.
    Memory(MemoryOp),
    /// Files: device nodes, sysfs, procfs.
    File(FileOp),
    /// Eventfds, and waiting for them.
    Event(EventOp),
    /// PCI devices and their drivers.
    Pci(PciOp),
    /// What devices do to memory.
    Dma(DmaOp),
    /// Processes, their rights and limits.
    Process(ProcessOp),
    /// Ops that execute other ops.
    Control(ControlOp),
}

impl Op {
    /// What is executed, in whichever process and however often.
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
