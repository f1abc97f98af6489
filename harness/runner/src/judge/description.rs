//! How things ended and should have ended, in words.

use case::{Race, WantEnd};
use wire::{Dma, DmaEnd, Injected, Observed, Outcome};

/// How it should have ended.
pub fn want_end(want: &WantEnd) -> String {
    match want {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(errno) => errno_text(*errno),
        WantEnd::Signal(signal) => signal_text(*signal),
        WantEnd::Lands { signature } => format!("DMA lands, signed {signature}"),
        WantEnd::Blocked => "DMA is blocked".to_owned(),
    }
}

/// How an op ended, in words.
pub fn observed_end(outcome: &Outcome) -> String {
    match &outcome.observed {
        Observed::Ok { .. } => "success".to_owned(),
        Observed::Errno { errno, .. } => errno_text(*errno),
        Observed::Signal(signal) => signal_text(*signal),
        Observed::Dma(dma) => dma_text(dma),
        Observed::Injected(injected) => injected_end(injected),
        Observed::Together(outcomes) => ends_at_once(outcomes.iter().map(observed_end)),
        Observed::NotRun { missing } => {
            format!("not run: nothing was saved as `{missing}`, because an earlier step failed")
        }
        Observed::Broken { why } => format!("the agent failed: {why}"),
    }
}

fn dma_text(dma: &Dma) -> String {
    let device = match dma.end {
        DmaEnd::Completed => "the device completed its DMA",
        DmaEnd::Faulted => "the device's DMA was refused",
        DmaEnd::TimedOut => "the device's DMA did not end",
        DmaEnd::Absent => "the device does not answer at all",
    };
    match (dma.changed, dma.signature.as_str()) {
        (0, _) => format!("{device}, the page is untouched"),
        (changed, "") => format!("{device}, {changed} bytes of the page changed"),
        (changed, by) => format!("{device}, {changed} bytes of the page changed, signed {by}"),
    }
}

/// Name of an error number.
pub fn errno_text(errno: i32) -> String {
    uapi::errno_name(errno).map_or_else(|| format!("errno {errno}"), str::to_owned)
}

fn signal_text(signal: i32) -> String {
    match signal {
        7 => "SIGBUS".to_owned(),
        11 => "SIGSEGV".to_owned(),
        other => format!("signal {other}"),
    }
}

/// The ways in which it may end, in words.
pub fn ways(race: &Race) -> String {
    let ways = race
        .ends
        .iter()
        .map(|way| ends_at_once(way.iter().map(want_end)));
    ways.collect::<Vec<_>>().join("; or ")
}

/// The ends of ops that were executed at once, in their order.
pub fn ends_at_once(ends: impl Iterator<Item = String>) -> String {
    ends.collect::<Vec<_>>().join(" | ")
}

/// How it ended, in words that are the same in every run: which points of failure there are,
/// and so with what they end, depends on what the kernel has in its caches.
fn injected_end(injected: &Injected) -> String {
    format!("at last {}", observed_end(&injected.last))
}

/// A few bytes in hexadecimal, or text where it is one.
pub fn shown_bytes(data: &[u8]) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if !data.is_empty() && data.iter().all(printable) {
        return format!("`{}`", String::from_utf8_lossy(data).trim());
    }
    let shown: Vec<_> = data
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if data.len() > 16 {
        format!(" ... ({} bytes)", data.len())
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(" "))
}
