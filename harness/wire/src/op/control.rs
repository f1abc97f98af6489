//! Ops that execute other ops.

use serde::{Deserialize, Serialize};

use crate::{
    Counter, Op,
    operand::{Operand, Use, ops},
};

ops! {
    /// Ops that execute other ops.
    pub enum ControlOp {
        /// Let a forked process execute an op. The outcome is the op's; what the op saves has
        /// its name in all processes.
        In {
            /// Which.
            process: String,
            /// What.
            op: Box<Op>,
        },
        /// Let a forked process begin an op; nobody waits for it.
        Start {
            /// Which.
            process: String,
            /// What.
            op: Box<Op>,
        },
        /// Wait for an op that was started. The outcome is the op's.
        Finish {
            /// Which process.
            process: String,
            /// What was started.
            op: Box<Op>,
        },
        /// Execute an op again and again, until it fails or was executed this often. The
        /// outcome is that of the last execution.
        Repeat {
            /// How many times.
            times: u64,
            /// Receives the number of executions before.
            counter: Counter,
            /// What.
            op: Box<Op>,
        },
        /// Execute an op until no failure is left to inject into it.
        FailNth {
            /// What, and what comes in between.
            plan: Box<FailNth>,
        },
        /// Execute ops at once, each in a thread of its own: they share descriptors and memory,
        /// and begin together. What an op saves has its name once all have ended.
        Together {
            /// What.
            ops: Vec<Op>,
        },
    }
}

/// Executes `op` with its first possible failure injected, with its second one, and so on,
/// and at last with none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailNth {
    /// An op that makes one system call.
    pub op: Op,
    /// Executed after each time that it failed.
    pub failed: Vec<Op>,
    /// The same where it was a copy that failed: the last one comes after all has been done.
    pub failed_copy: Vec<Op>,
    /// Executed after each time that it succeeded in spite of a failure within.
    pub survived: Vec<Op>,
    /// How many failures it may have.
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
            Self::Together { ops } => ops.iter().collect(),
        }
    }
}
