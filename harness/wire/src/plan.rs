//! A plan: the fully resolved form of one case.

use serde::{Deserialize, Serialize};

use crate::{Op, operand::Operand};

/// One case, resolved for one guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Case id, for the markers in the kernel log.
    pub name: String,
    /// Executed in order; a failed op does not stop the rest.
    pub ops: Vec<Op>,
    /// Executed by a second child after the first has ended, however it ended.
    pub restore: Vec<Op>,
    /// The child is killed after this time.
    pub timeout_ms: u64,
}

impl Plan {
    /// Returns the plan for a slower machine: its deadline is `whole` times as long, and each op
    /// waits `op` times as long, also for events that must not come.
    pub fn with_patience(mut self, whole: u64, op: u64) -> Self {
        self.timeout_ms = self.timeout_ms.saturating_mul(whole);
        self.ops.lengthen(op);
        self.restore.lengthen(op);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ControlOp, EventOp, FailNth, Fd, MemoryOp, Timeout, Value};

    fn events(timeout: u64) -> Op {
        let (fd, timeout) = (Fd::slot("irq"), Timeout(timeout));
        EventOp::Events { fd, timeout }.into()
    }

    fn within(op: Op) -> Op {
        ControlOp::In {
            process: "child".to_owned(),
            op: Box::new(op),
        }
        .into()
    }

    fn plan(whole: u64, op: u64) -> Plan {
        let munmap = MemoryOp::Munmap {
            at: Value::Const(0),
            length: 1,
        };
        let fail_nth = FailNth {
            op: munmap.into(),
            failed: vec![events(op)],
            failed_copy: vec![within(events(op))],
            survived: vec![events(op)],
            limit: 1,
        };
        let together = ControlOp::Together {
            ops: vec![events(op), within(events(op))],
            delays: Vec::new(),
        };
        Plan {
            name: "x".to_owned(),
            ops: vec![
                events(op),
                together.into(),
                ControlOp::FailNth {
                    plan: Box::new(fail_nth),
                }
                .into(),
            ],
            restore: vec![events(op)],
            timeout_ms: whole,
        }
    }

    #[test]
    fn every_deadline_is_lengthened_wherever_it_is() {
        assert_eq!(plan(1000, 5).with_patience(30, 10), plan(30_000, 50));
    }
}
