//! Describes how ops ended and how they should have ended.

use case::{Check, Race, WantEnd};
use wire::{Dma, DmaAccess, DmaEnd, Injected, Observed, Outcome};

/// Describes how an op should have ended.
pub fn want_end(want: &WantEnd) -> String {
    match want {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(errno) => errno_text(*errno),
        WantEnd::Refused => "an errno".to_owned(),
        WantEnd::Signal(signal) => signal_text(*signal),
        WantEnd::Lands { signature } => format!("DMA lands, signed {signature}"),
        WantEnd::Blocked => "DMA is blocked".to_owned(),
    }
}

/// Describes how an op ended.
pub fn observed_end(outcome: &Outcome) -> String {
    match &outcome.observed {
        Observed::Ok { .. } => "success".to_owned(),
        Observed::Errno { errno, .. } => errno_text(*errno),
        Observed::Signal(signal) => signal_text(*signal),
        Observed::Dma(dma) => dma_text(dma),
        Observed::Injected(injected) => injected_end(injected),
        Observed::Together(racers) => {
            ends_at_once(racers.iter().map(|racer| observed_end(&racer.outcome)))
        }
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
    let what = dma_result(dma);
    match dma.signature.as_str() {
        "" => format!("{device}, {what}"),
        by => format!("{device}, {what}, signed {by}"),
    }
}

/// Describes what became of the page of a DMA.
pub fn dma_result(dma: &Dma) -> &'static str {
    match (dma.access, dma.changed) {
        (DmaAccess::Write, 0) => "the page is untouched",
        (DmaAccess::Write, _) => "the page changed",
        (DmaAccess::Read, 0) => "the page was not read",
        (DmaAccess::Read, _) => "the page was read",
    }
}

/// Describes what of an outcome may differ between runs.
pub fn detail(outcome: &Outcome) -> Option<String> {
    match &outcome.observed {
        Observed::Dma(dma) if dma.changed > 0 => Some(format!("{} bytes", dma.changed)),
        _ => None,
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

/// Describes the ways in which a race may end.
pub fn ways(race: &Race) -> String {
    let ways: Vec<_> = race.ends.iter().map(|it| way(it)).collect();
    ways.join("; or ")
}

/// Describes what follows each of the ways in which a race may end.
pub fn ends_by_race(checks: &[Check]) -> String {
    let ends = checks.iter().map(|check| want_end(&check.expect.end));
    let mut ends: Vec<_> = ends.collect();
    ends.dedup();
    ends.join("; or ")
}

/// Describes one of the ways in which a race may end.
pub fn way(ends: &[WantEnd]) -> String {
    ends_at_once(ends.iter().map(want_end))
}

/// Joins the ends of ops that were executed at once, in the order of the ops.
pub fn ends_at_once(ends: impl Iterator<Item = String>) -> String {
    ends.collect::<Vec<_>>().join(" | ")
}

/// Describes how the op ended without failures, which is the same in every run. The points of
/// failure, and so how each execution ends, depend on the kernel's caches.
fn injected_end(injected: &Injected) -> String {
    format!("at last {}", observed_end(&injected.last))
}

/// Shows bytes as text if they are printable, or else in hexadecimal.
pub fn shown_bytes(data: &[u8]) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if data.is_empty() {
        return "nothing".to_owned();
    }
    if data.iter().all(printable) {
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
