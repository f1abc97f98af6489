//! Checks of the kernel that switch themselves off: whether they are still on, and what they found.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    thread,
    time::Duration,
};

use wire::{CheckState, KernelCheck};

const LOCKDEP: &str = "/proc/lockdep_stats";
const KMEMLEAK: &str = "/sys/kernel/debug/kmemleak";
const DEBUG_OBJECTS: &str = "/sys/kernel/debug/debug_objects/stats";
/// kmemleak reports no object that is younger than 5 s (`MSECS_MIN_AGE`). Nothing tells when the last
/// object of the cases is that old, so this is the one wait for a time.
const MIN_AGE: Duration = Duration::from_millis(5100);
/// Maximum number of bytes of a report of leaks: about ten of them.
const REPORT: usize = 8 << 10;

/// Returns the state of a check.
pub fn state(check: KernelCheck) -> CheckState {
    let trouble = match check {
        KernelCheck::Lockdep => lockdep(),
        KernelCheck::Kmemleak => kmemleak(),
        KernelCheck::DebugObjects => debug_objects(),
    };
    CheckState { check, trouble }
}

fn lockdep() -> Option<String> {
    with_text(LOCKDEP, |text| match number(text, "debug_locks") {
        Some(1) => None,
        Some(_) => Some("lockdep has switched itself off (debug_locks is 0)".to_owned()),
        None => Some(format!("{LOCKDEP} has no debug_locks")),
    })
}

/// An object that is still referenced nowhere in a second scan is a leak: the first one may have met
/// it on its way from one place to another.
fn kmemleak() -> Option<String> {
    let scans = scan().and_then(|()| {
        thread::sleep(MIN_AGE);
        scan()
    });
    if let Err(error) = scans {
        return Some(format!("kmemleak does not scan, so it is off: {error}"));
    }
    with_text(KMEMLEAK, |text| match text.trim() {
        "" => None,
        leaks => Some(format!("kmemleak found leaks:\n{}", cut(leaks, REPORT))),
    })
}

fn scan() -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(KMEMLEAK)?;
    file.write_all(b"scan")
}

/// debugobjects gives up all records when it has no memory for one. A running kernel always has
/// some: its timers.
fn debug_objects() -> Option<String> {
    with_text(DEBUG_OBJECTS, |text| match number(text, "pool_used") {
        Some(0) => Some("debugobjects has switched itself off (it has no records)".to_owned()),
        Some(_) => None,
        None => Some(format!("{DEBUG_OBJECTS} has no pool_used")),
    })
}

fn with_text(path: &str, judge: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    match fs::read(path) {
        Ok(bytes) => judge(&String::from_utf8_lossy(&bytes)),
        Err(error) => Some(format!("reading {path}: {error}")),
    }
}

/// Returns the number in a line such as ` debug_locks:    1`.
fn number(text: &str, name: &str) -> Option<u64> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
    value.trim().parse().ok()
}

/// Returns the first bytes of a text, up to the end of a line.
fn cut(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for line in text.lines() {
        if kept.len() + line.len() > most {
            kept.push_str("...");
            break;
        }
        kept.push_str(line);
        kept.push('\n');
    }
    kept.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(
        " lock-classes:   12\n debug_locks:                             1\n",
        "debug_locks",
        Some(1)
    )]
    #[case("pool_free     : 12\npool_used     : 0\n", "pool_used", Some(0))]
    #[case("pool_used", "pool_used", None)]
    #[case("pool_used: many", "pool_used", None)]
    #[case("", "pool_used", None)]
    fn numbers_are_found(#[case] text: &str, #[case] name: &str, #[case] want: Option<u64>) {
        assert_eq!(number(text, name), want);
    }

    #[rstest]
    #[case("a\nb", 10, "a\nb")]
    #[case("aaaa\nbbbb\ncccc", 9, "aaaa\nbbbb\n...")]
    fn a_long_report_is_cut_at_a_line(#[case] text: &str, #[case] most: usize, #[case] want: &str) {
        assert_eq!(cut(text, most), want);
    }
}
