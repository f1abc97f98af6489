//! Measures times in microseconds.

use std::time::Instant;

/// Measures one phase after the other.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts the first phase.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Ends a phase, returns its time, and starts the next one.
    pub fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let took = now.duration_since(self.0);
        self.0 = now;
        took.as_micros() as u64
    }
}
