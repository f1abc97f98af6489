//! The rate of this host's cycle counter.
//!
//! Under TCG a guest's time stamp counter is the host's, and a guest has to find out its rate by
//! itself: it counts cycles while a timer runs that QEMU emulates. Where other work keeps the host
//! busy that goes wrong by factors. Such a guest stands still for minutes or sees its clock jump,
//! which shows as stalls of RCU and as deadlines that pass at once. So the kernel is told the rate.

use std::{sync::OnceLock, time::Duration};

/// Time over which the counter is measured: an error of a microsecond in it is one of 50 ppm, and
/// the kernel refines the rate by itself.
const SPAN: Duration = Duration::from_millis(20);

/// Returns the parameter of the kernel's command line that gives the rate, measured once in a
/// process. It is `None` on a host without such a counter.
pub fn parameter() -> Option<&'static str> {
    static PARAMETER: OnceLock<Option<String>> = OnceLock::new();
    let made = PARAMETER.get_or_init(|| khz().map(|khz| format!("tsc_early_khz={khz}")));
    made.as_deref()
}

/// Measures the rate of the time stamp counter in kHz.
#[cfg(target_arch = "x86_64")]
fn khz() -> Option<u64> {
    let first = sample();
    std::thread::sleep(SPAN);
    let last = sample();
    let passed = last.at.duration_since(first.at);
    let cycles = last.cycles.checked_sub(first.cycles)?;
    let khz = u128::from(cycles) * 1_000_000 / passed.as_nanos().max(1);
    u64::try_from(khz).ok().filter(|khz| *khz > 0)
}

/// QEMU passes another counter on there, of which an x86 guest knows nothing.
#[cfg(not(target_arch = "x86_64"))]
fn khz() -> Option<u64> {
    None
}

/// The counter, and when it was read.
#[cfg(target_arch = "x86_64")]
struct Sample {
    at: std::time::Instant,
    cycles: u64,
}

/// Returns the sample of several that took the least time, which no interrupt can have torn.
#[cfg(target_arch = "x86_64")]
fn sample() -> Sample {
    let read = || {
        let before = std::time::Instant::now();
        // SAFETY: the instruction reads a counter and has no other effect.
        let cycles = unsafe { std::arch::x86_64::_rdtsc() };
        let sample = Sample { at: before, cycles };
        (before.elapsed(), sample)
    };
    let mut best = read();
    for _ in 0..16 {
        let next = read();
        if next.0 < best.0 {
            best = next;
        }
    }
    best.1
}

#[cfg(test)]
#[cfg(target_arch = "x86_64")]
mod tests {
    use super::*;

    #[test]
    fn two_measurements_agree() {
        let (first, second) = (khz().unwrap(), khz().unwrap());
        let difference = first.abs_diff(second);
        assert!(difference * 100 < first, "{first} kHz, then {second} kHz");
    }
}
