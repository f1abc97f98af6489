//! Finds complaints of the kernel in its log.

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
    "Kernel panic",
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

/// Returns the first complaint with the lines that follow it.
pub fn find(kmsg: &[String]) -> Option<String> {
    let at = kmsg
        .iter()
        .position(|line| SIGNS.iter().any(|sign| line.contains(sign)))?;
    let end = kmsg.len().min(at + LINES);
    Some(kmsg[at..end].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
