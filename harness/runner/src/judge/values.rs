//! Values that ops saved.

use std::collections::HashMap;

use wire::{Op, Outcome, Value};

/// Values that ops saved, taken from their outcomes.
#[derive(Debug, Default)]
pub struct Values(HashMap<String, u64>);

impl Values {
    /// Adds the values that the op saved.
    pub fn learn(&mut self, op: &Op, outcome: &Outcome) {
        for left in op.leaves(outcome) {
            self.0.insert(left.target.slot().to_owned(), left.value);
        }
    }

    /// Returns the value, if it is known.
    pub fn value(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Const(number) => Some(*number),
            Value::Slot { name, add } => Some(self.0.get(name)?.wrapping_add(*add)),
        }
    }
}
