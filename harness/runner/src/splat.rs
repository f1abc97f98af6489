//! Finds complaints of the kernel in its log.

/// Before each line of a complaint that a run allows: the line is none then.
pub const ALLOWED: &str = "allowed: ";

/// Parts of lines that are complaints, whatever the case does, in the order of what prints them.
const SIGNS: &[&str] = &[
    // WARN and BUG
    "[ cut here ]",
    "BUG: ",
    "kernel BUG at",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    // the processor
    "Oops:",
    "general protection fault",
    "stack guard page was hit",
    "nobody cared",
    // sanitizers
    "KASAN:",
    "KCSAN:",
    "UBSAN:",
    "KFENCE:",
    // lockdep
    "WARNING: possible ",
    "WARNING: inconsistent lock state",
    "WARNING: held lock freed",
    "WARNING: lock held when returning to user space",
    "WARNING: bad unlock",
    "WARNING: bad contention",
    "WARNING: Nested lock",
    "WARNING: suspicious",
    "INFO: trying to register non-static key",
    "INFO: possible ",
    "-safe -> ", // SOFTIRQ-safe -> SOFTIRQ-unsafe, and the other contexts
    "BUG: MAX_LOCK",
    // time
    "blocked for more than",
    "rcu: INFO:",
    "RCU Stall",
    "workqueue lockup",
    "Time out waiting for iommufd object",
    // memory
    "ODEBUG:",
    "BUG kmalloc",
    "Object padding overwritten",
    "Poison overwritten",
    "Redzone overwritten",
    "pagealloc: memory corruption",
    "pagealloc: single bit error",
    "new suspected memory leaks",
    "unreferenced object",
    "Detected page leak",
    // what the log itself has lost
    RECORDS_LOST,
];

/// Line of the agent for records that were overwritten before it read them.
const RECORDS_LOST: &str = "(records lost)";

/// Number of lines of a splat to show in a reason.
const LINES: usize = 12;

/// First lines of complaints whose head has further signs: the rest of their message.
const HEADS: &[(&str, &[&str])] = &[
    // WARN, BUG, UBSAN, and what lib/list_debug.c and others say before they WARN
    ("[ cut here ]", SIGNS),
    ("BUG: ", &["Oops:", "KASAN:", "general protection fault"]),
    ("general protection fault", &["Oops:", "KASAN:"]),
    ("Oops:", &["Oops:", "KASAN:", "general protection fault"]),
    ("WARNING: ", &["-safe -> "]),
];

/// Parts of lines that end the head of a complaint: what follows is where it happened.
const END_OF_HEAD: &[&str] = &["CPU: ", "Call Trace:", "Modules linked in:", "RIP: "];

/// Returns the first complaint with the lines that follow it.
pub fn find(kmsg: &[String]) -> Option<String> {
    let at = kmsg.iter().position(|line| is_sign(line))?;
    Some(shown(&kmsg[at..]))
}

/// Returns the first lines of a complaint.
pub fn shown<T: AsRef<str>>(lines: &[T]) -> String {
    let lines = lines.iter().take(LINES).map(AsRef::as_ref);
    lines.collect::<Vec<_>>().join("\n")
}

/// Returns every complaint, each with all its lines up to the next one.
pub fn all(kmsg: &[String]) -> Vec<Vec<&str>> {
    let mut all: Vec<Vec<&str>> = Vec::new();
    let mut in_head = false;
    for line in kmsg {
        let goes_on = match all.last().and_then(|lines| lines.first()) {
            Some(first) => !is_sign(line) || (in_head && is_in_head(first, line)),
            None if is_sign(line) => false,
            None => continue,
        };
        match all.last_mut() {
            Some(lines) if goes_on => lines.push(line),
            _ => all.push(vec![line]),
        }
        in_head = (in_head || !goes_on) && !has(line, END_OF_HEAD);
    }
    all
}

/// Returns every complaint that the run allows, as the kernel wrote it.
pub fn allowed(kmsg: &[String]) -> Vec<String> {
    let lines = kmsg.iter().filter_map(|line| line.strip_prefix(ALLOWED));
    let lines: Vec<_> = lines.map(str::to_owned).collect();
    all(&lines).iter().map(|lines| lines.join("\n")).collect()
}

fn is_sign(line: &str) -> bool {
    has(line, SIGNS) && !line.starts_with(ALLOWED)
}

/// Whether a line with a sign belongs to the head of the complaint with this first line.
fn is_in_head(first: &str, line: &str) -> bool {
    let starts_anew = line.contains("[ cut here ]");
    let head = HEADS.iter().find(|(start, _)| first.contains(start));
    !starts_anew && head.is_some_and(|(_, signs)| has(line, signs))
}

fn has(line: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| line.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::{collection::vec, prelude::*, sample::select};
    use rstest::rstest;

    #[rstest]
    #[case("------------[ cut here ]------------", true)]
    #[case("WARNING: possible circular locking dependency detected", true)]
    #[case("WARNING: inconsistent lock state", true)]
    #[case("WARNING: held lock freed!", true)]
    #[case("WARNING: lock held when returning to user space!", true)]
    #[case("WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected", true)]
    #[case("INFO: trying to register non-static key.", true)]
    #[case("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", true)]
    #[case("watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]", true)]
    #[case("INFO: task init:37 blocked for more than 120 seconds.", true)]
    #[case(
        "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
        true
    )]
    #[case("iommufd: Time out waiting for iommufd object to become free", true)]
    #[case("BUG kmalloc-64 (Not tainted): Right Redzone overwritten", true)]
    #[case("(records lost)", true)]
    #[case("BUG: KASAN: slab-use-after-free in iommufd_fops_release", true)]
    #[case(
        "DMAR: [DMA Write NO_PASID] Request device [00:04.0] fault addr 0x100000",
        false
    )]
    #[case("vfio-pci 0000:00:04.0: resetting", false)]
    fn complaints_are_told_from_news(#[case] line: &str, #[case] splat: bool) {
        assert_eq!(find(&[line.to_owned()]).is_some(), splat);
    }

    fn complaints(log: &str) -> Vec<String> {
        let lines: Vec<_> = log.lines().map(str::to_owned).collect();
        let all = all(&lines);
        all.iter().map(|lines| lines.join("\n")).collect()
    }

    const WARN: &str = "------------[ cut here ]------------
list_del corruption. prev->next should be 1, but was 2
WARNING: lib/list_debug.c:62 at __list_del_entry_valid_or_report+0xc4/0x100, CPU#0: init/51
Modules linked in:
CPU: 0 UID: 0 PID: 51 Comm: init Tainted: G        W
RIP: 0010:__list_del_entry_valid_or_report+0xc4/0x100
Call Trace:
 vfio_group_release+0x1/0x2
---[ end trace 0000000000000000 ]---";
    const OOPS: &str = "BUG: kernel NULL pointer dereference, address: 0000000000000000
#PF: supervisor write access in kernel mode
Oops: Oops: 0002 [#1] SMP
CPU: 0 UID: 0 PID: 51 Comm: init
RIP: 0010:mutex_lock+0x1/0x2";

    #[test]
    fn a_log_without_complaints_has_none() {
        assert_eq!(complaints("vfio-pci 0000:00:04.0: resetting\n"), [""; 0]);
    }

    #[test]
    fn each_complaint_is_found_with_its_trace() {
        let log = format!("resetting\n{WARN}\n{WARN}\n{OOPS}\nBUG: late\nODEBUG: x\nODEBUG: y");
        let expected = [WARN, WARN, OOPS, "BUG: late", "ODEBUG: x", "ODEBUG: y"];
        assert_eq!(complaints(&log), expected);
    }

    #[rstest]
    #[case(
        "------------[ cut here ]------------\nkernel BUG at mm/slub.c:1!\nOops: invalid opcode: 0000"
    )]
    #[case(
        "------------[ cut here ]------------\nUBSAN: shift-out-of-bounds in a.c:1:2\nshift exponent 1"
    )]
    #[case(
        "Oops: general protection fault, probably for 0x1: 0000 [#1] SMP KASAN\nKASAN: null-ptr-deref in range"
    )]
    #[case("WARNING: SOFTIRQ-safe -> SOFTIRQ-unsafe lock order detected\n----")]
    fn lines_of_one_message_are_one_complaint(#[case] log: &str) {
        assert_eq!(complaints(log), [log]);
    }

    #[test]
    fn a_complaint_in_the_trace_of_another_is_one_of_its_own() {
        let log = "BUG: a\nCPU: 0\nBUG: KASAN: b";
        assert_eq!(complaints(log), ["BUG: a\nCPU: 0", "BUG: KASAN: b"]);
    }

    proptest! {
        /// Every line from the first sign on is in exactly one complaint, in order.
        #[test]
        fn no_line_of_a_log_is_lost(log in vec(prop_oneof!["[ -~]{0,20}", line()], 0..30)) {
            let all = all(&log);
            prop_assert!(all.iter().all(|lines| is_sign(lines[0])));
            let first = log.iter().position(|line| is_sign(line)).unwrap_or(log.len());
            prop_assert_eq!(all.concat(), &log[first..]);
            let shown = all.first().map(|lines| shown(&lines[..1]));
            let found = find(&log).map(|text| text.lines().next().unwrap_or_default().to_owned());
            prop_assert_eq!(found, shown);
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let parts = [SIGNS, END_OF_HEAD].concat();
        select(parts).prop_map(str::to_owned)
    }
}
