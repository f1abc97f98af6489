//! Finds complaints of the kernel in its log.

/// Parts of lines that are complaints, whatever the case does.
const SIGNS: [&str; 15] = [
    "[ cut here ]", // WARN and BUG
    "WARNING: possible",
    "WARNING: bad unlock",
    "WARNING: suspicious",
    "BUG: ",
    "kernel BUG at",
    "KASAN:",
    "KCSAN:",
    "UBSAN:",
    "Oops:",
    "general protection fault",
    "refcount_t:",
    "list_add corruption",
    "list_del corruption",
    "blocked for more than",
];

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
