//! Detects whether a page is in the page table by counting the faults of an access.
//!
//! A mapping of a region is filled page by page on access, and /proc/self/pagemap does not show
//! such pages. A removed page only shows by the fault that puts it back.

use nix::{
    errno::Errno,
    sys::resource::{UsageWho, getrusage},
};
use wire::Width;

use crate::guard::{self, Raised};

/// Why the faults could not be counted.
#[derive(Debug, PartialEq, Eq)]
pub enum Uncountable {
    /// The load raised a signal.
    Raised(Raised),
    /// The kernel does not report its count.
    Uncounted(Errno),
}

/// Loads four bytes, and returns the number of faults that it took.
pub fn count(at: u64) -> Result<u64, Uncountable> {
    // The code that counts may have to be paged in, so count once before.
    let practice = 0_u32;
    counted(&raw const practice as u64)?;
    counted(at)
}

fn counted(at: u64) -> Result<u64, Uncountable> {
    let before = so_far()?;
    guard::load(at, Width::W4).map_err(Uncountable::Raised)?;
    Ok(so_far()?.wrapping_sub(before))
}

fn so_far() -> Result<u64, Uncountable> {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).map_err(Uncountable::Uncounted)?;
    Ok(usage.minor_page_faults().cast_unsigned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test panics to fail")]

    use std::num::NonZeroUsize;

    use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

    use super::*;

    #[test]
    fn a_page_faults_once() {
        let length = NonZeroUsize::new(4096).unwrap();
        let (access, kind) = (ProtFlags::PROT_READ, MapFlags::MAP_PRIVATE);
        // SAFETY: a new mapping, of nothing that Rust knows of.
        let page = unsafe { mmap_anonymous(None, length, access, kind) }.unwrap();
        let at = page.as_ptr() as u64;
        assert_eq!(count(at), Ok(1));
        assert_eq!(count(at), Ok(0));
    }

    #[test]
    fn what_cannot_be_touched_raises_a_signal() {
        guard::install().unwrap();
        let raised = Uncountable::Raised(Raised(libc::SIGSEGV));
        assert_eq!(count(16), Err(raised));
    }
}
