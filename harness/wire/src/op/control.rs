//! Ops that execute other ops.

use serde::{Deserialize, Serialize};

use crate::{
    Counter, Op,
    operand::{Operand, Use, ops},
};

ops! {
    /// Ops that execute other ops.
    pub enum ControlOp {
        /// Let a forked process execute an op. The outcome is the op's. Values that the op saves
        /// can be used in all processes.
        In {
            /// Name of the forked process.
            process: String,
            /// The op to execute there.
            op: Box<Op>,
        },
        /// Let a forked process begin an op, without waiting for it.
        Start {
            /// Name of the forked process.
            process: String,
            /// The op to execute there.
            op: Box<Op>,
        },
        /// Wait for an op that was started. The outcome is the op's.
        Finish {
            /// Name of the forked process.
            process: String,
            /// The op that was started.
            op: Box<Op>,
        },
        /// Execute an op repeatedly, until it fails or was executed this many times. The outcome is
        /// that of the last execution.
        Repeat {
            /// How many times.
            times: u64,
            /// Receives the number of earlier executions.
            counter: Counter,
            /// The op to execute there.
            op: Box<Op>,
        },
        /// Execute an op until no failure is left to inject into it.
        FailNth {
            /// The op, and the ops in between.
            plan: Box<FailNth>,
        },
        /// Execute ops at once, each in its own thread. They share descriptors and memory, and
        /// begin together. Saved values can be used once all have ended.
        Together {
            /// The ops, one for each thread.
            ops: Vec<Op>,
            /// Microseconds by which each op begins later; an op without an entry does not.
            delays: Vec<u32>,
        },
    }
}

/// Executes `op` with its first possible failure injected, then with its second one, and so on, and
/// at last without a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailNth {
    /// An op that makes one system call.
    pub op: Op,
    /// Executed after each execution that failed.
    pub failed: Vec<Op>,
    /// Executed instead if a copy failed: the last copy comes after all work has been done.
    pub failed_copy: Vec<Op>,
    /// Executed after each execution that succeeded in spite of a failure.
    pub survived: Vec<Op>,
    /// Maximum number of failures.
    pub limit: u32,
}

impl Operand for FailNth {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        self.op.visit(uses);
        for after in [&self.failed, &self.failed_copy, &self.survived] {
            after.visit(uses);
        }
    }

    fn lengthen(&mut self, factor: u64) {
        self.op.lengthen(factor);
        for after in [&mut self.failed, &mut self.failed_copy, &mut self.survived] {
            after.lengthen(factor);
        }
    }
}

impl ControlOp {
    /// The ops that it executes.
    pub fn inner(&self) -> Vec<&Op> {
        match self {
            Self::In { op, .. }
            | Self::Start { op, .. }
            | Self::Finish { op, .. }
            | Self::Repeat { op, .. } => vec![op],
            Self::FailNth { plan } => {
                let after = plan.failed.iter().chain(&plan.failed_copy);
                let after = after.chain(&plan.survived);
                std::iter::once(&plan.op).chain(after).collect()
            }
            Self::Together { ops, .. } => ops.iter().collect(),
        }
    }
}
