//! Keeps injected failures away from the page allocations of new slabs.
//!
//! Whether an allocation of slab needs a new slab depends on what was freed before, and KASAN holds
//! freed objects back. So a call would have a point of failure more in one attempt and not in the
//! next, and the points behind it would be missed. Nothing is lost: the allocation of slab itself is a
//! point of failure, too.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    ops::Range,
    path::Path,
};

use crate::sysfs;

const KALLSYMS: &str = "/proc/kallsyms";
/// The settings of `CONFIG_FAULT_INJECTION_STACKTRACE_FILTER`: a page allocation with a return address
/// from here to there in its stack is no point of failure.
const FROM: &str = "/sys/kernel/debug/fail_page_alloc/reject-start";
const TO: &str = "/sys/kernel/debug/fail_page_alloc/reject-end";
/// The function of mm/slub.c that allocates the pages of a slab, and its caller, where the compiler
/// has put it into that one.
const FUNCTIONS: [&str; 2] = ["allocate_slab", "new_slab"];

/// Leaves the allocations of new slabs out, if the kernel can.
pub fn leave_out() -> io::Result<()> {
    if !Path::new(FROM).exists() {
        return Ok(());
    }
    for function in FUNCTIONS {
        let symbols = BufReader::new(File::open(KALLSYMS)?);
        if let Some(code) = code_of(function, symbols)? {
            sysfs::write(FROM, &format!("{:#x}", code.start))?;
            return sysfs::write(TO, &format!("{:#x}", code.end));
        }
    }
    Err(io::Error::other(format!(
        "{KALLSYMS} names neither {}",
        FUNCTIONS.join(" nor ")
    )))
}

/// Returns the addresses of a function, from its first to that of the next symbol. The symbols of the
/// kernel are in the order of their addresses.
fn code_of(function: &str, symbols: impl BufRead) -> io::Result<Option<Range<u64>>> {
    let mut start = None;
    for line in symbols.lines() {
        let line = line?;
        let mut words = line.split_whitespace();
        let address = words.next().and_then(|it| u64::from_str_radix(it, 16).ok());
        let (Some(address), Some(name)) = (address, words.nth(1)) else {
            continue;
        };
        match start {
            Some(start) if address > start => return Ok(Some(start..address)),
            // All are 0 for who may not see them.
            None if address != 0 && is(name, function) => start = Some(address),
            _ => {}
        }
    }
    Ok(None)
}

/// Whether a symbol is a function, or a copy that the compiler made of it (`name.isra.0`), but not the
/// part that it has put aside (`name.cold`).
fn is(symbol: &str, function: &str) -> bool {
    let mut parts = symbol.split('.');
    parts.next() == Some(function) && parts.all(|part| part != "cold")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const SYMBOLS: &str = "\
ffffffff8102d311 t allocate_slab.cold
ffffffff81190000 t calculate_sizes
ffffffff81190900 t allocate_slab
ffffffff81190900 t __pfx_alias
ffffffff81190eb0 t new_slab.isra.0
ffffffff81190f00 t refill_objects
broken
zz t last
";

    #[rstest]
    #[case("allocate_slab", Some(0xffff_ffff_8119_0900..0xffff_ffff_8119_0eb0))]
    #[case("new_slab", Some(0xffff_ffff_8119_0eb0..0xffff_ffff_8119_0f00))]
    #[case("refill_objects", None)]
    #[case("slab", None)]
    fn finds_the_code_of_a_function(#[case] function: &str, #[case] expected: Option<Range<u64>>) {
        assert_eq!(code_of(function, SYMBOLS.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn hidden_addresses_are_none() {
        let hidden = "0000000000000000 t allocate_slab\n0000000000000000 t new_slab\n";
        assert_eq!(code_of("allocate_slab", hidden.as_bytes()).unwrap(), None);
    }
}
