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
/// First words of the report of a leak.
const LEAK: &str = "unreferenced object ";
/// Maximum number of leaks that are reported.
const LEAKS: usize = 200;

/// Returns the state of a check.
pub fn state(check: KernelCheck) -> CheckState {
    let (trouble, found) = match check {
        KernelCheck::Lockdep => (lockdep(), Vec::new()),
        KernelCheck::Kmemleak => match kmemleak() {
            Ok(leaks) => (None, leaks),
            Err(why) => (Some(why), Vec::new()),
        },
        KernelCheck::DebugObjects => (debug_objects(), Vec::new()),
    };
    CheckState {
        check,
        trouble,
        found,
    }
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
fn kmemleak() -> Result<Vec<String>, String> {
    let scans = scan().and_then(|()| {
        thread::sleep(MIN_AGE);
        scan()
    });
    scans.map_err(|error| format!("kmemleak does not scan, so it is off: {error}"))?;
    match fs::read(KMEMLEAK) {
        Ok(bytes) => Ok(leaks(&String::from_utf8_lossy(&bytes))),
        Err(error) => Err(format!("reading {KMEMLEAK}: {error}")),
    }
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

/// Returns the report of each leak. What else kmemleak prints is one, too.
fn leaks(text: &str) -> Vec<String> {
    let mut leaks: Vec<String> = Vec::new();
    for line in text.trim_end().lines() {
        match leaks.last_mut().filter(|_| !line.starts_with(LEAK)) {
            Some(leak) => {
                leak.push('\n');
                leak.push_str(line);
            }
            None => leaks.push(line.to_owned()),
        }
    }
    let more = leaks.len().saturating_sub(LEAKS);
    if more > 0 {
        leaks.truncate(LEAKS);
        leaks.push(format!("{more} more leaks"));
    }
    leaks
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
    #[case("", &[])]
    #[case(
        "unreferenced object 0x1:\n  a\nunreferenced object 0x2:\n  b\n",
        &["unreferenced object 0x1:\n  a", "unreferenced object 0x2:\n  b"]
    )]
    #[case("something else\n", &["something else"])]
    fn each_leak_has_a_report(#[case] text: &str, #[case] want: &[&str]) {
        assert_eq!(leaks(text), want);
    }

    #[test]
    fn leaks_that_are_too_many_are_counted() {
        let many = "unreferenced object 0x1:\n".repeat(LEAKS + 7);
        let leaks = leaks(&many);
        assert_eq!(leaks.len(), LEAKS + 1);
        assert_eq!(leaks[LEAKS], "7 more leaks");
    }
}
