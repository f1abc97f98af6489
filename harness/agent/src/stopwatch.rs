//! Time between two looks, in microseconds.

use std::time::Instant;

/// Measures one phase after the other.
#[derive(Clone, Copy)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// The first phase begins.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long the phase took that ends here; the next one begins.
    pub fn lap(&mut self) -> u64 {
        let now = Instant::now();
        let took = now.duration_since(self.0);
        self.0 = now;
        took.as_micros() as u64
    }
}
