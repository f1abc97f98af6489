//! Memory of the case's own process.

use std::num::NonZeroUsize;

use nix::{
    errno::Errno,
    sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap},
};
use wire::{Abi, Width};

use crate::{
    guard::{self, Raised},
    op_error::OpError,
};

/// Bytes of a page.
pub const PAGE: u64 = 4096;

/// Reads memory with guarded loads, so that a fault is an outcome.
pub fn peek(at: u64, length: u64) -> Result<Vec<u8>, Raised> {
    let mut bytes = Vec::with_capacity(length as usize);
    let whole = length / 8 * 8;
    for offset in (0..whole).step_by(8) {
        bytes.extend(guard::load(at + offset, Width::W8)?.to_le_bytes());
    }
    for offset in whole..length {
        bytes.push(guard::load(at + offset, Width::W1)? as u8);
    }
    Ok(bytes)
}

/// Returns a length for mmap; 0 is EINVAL.
pub fn nonzero(length: u64) -> Result<NonZeroUsize, OpError> {
    NonZeroUsize::new(length as usize).ok_or(OpError::Failed(Errno::EINVAL.into()))
}

/// Returns an address that is not null; 0 is EINVAL.
pub fn pointer(at: u64) -> Result<std::ptr::NonNull<libc::c_void>, OpError> {
    std::ptr::NonNull::new(at as *mut libc::c_void).ok_or(OpError::Failed(Errno::EINVAL.into()))
}

/// Maps this many bytes.
pub fn anonymous(length: u64, kind: MapFlags) -> Result<u64, OpError> {
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping at an address of the kernel's choice.
    let at = unsafe { mmap_anonymous(None, nonzero(length)?, access, kind)? };
    Ok(at.as_ptr() as u64)
}

/// Changes the protection of a mapping.
pub fn protect(at: u64, length: u64, access: ProtFlags) -> Result<(), OpError> {
    // SAFETY: only changes the rights of a mapping that was made by the caller.
    unsafe { nix::sys::mman::mprotect(pointer(at)?, length as usize, access)? };
    Ok(())
}

/// A buffer that ends where its mapping ends, with an inaccessible page behind it.
pub struct EdgeBuffer {
    base: u64,
    span: u64,
    /// Where it begins.
    pub at: u64,
    length: usize,
}

impl EdgeBuffer {
    /// Returns a buffer with these bytes, at an address that the caller of this ABI can name.
    pub fn new(bytes: &[u8], read_only: bool, abi: Abi) -> Result<Self, OpError> {
        let usable = (bytes.len() as u64).div_ceil(PAGE).max(1) * PAGE;
        let span = usable + PAGE;
        let low = match abi {
            Abi::Native => MapFlags::empty(),
            Abi::Ia32 => MapFlags::MAP_32BIT,
        };
        let base = anonymous(span, MapFlags::MAP_PRIVATE | low)?;
        let at = base + usable - bytes.len() as u64;
        // SAFETY: `at..at + len` lies within the mapping made above.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
        protect(base + usable, PAGE, ProtFlags::PROT_NONE)?;
        if read_only {
            protect(base, usable, ProtFlags::PROT_READ)?;
        }
        Ok(Self {
            base,
            span,
            at,
            length: bytes.len(),
        })
    }

    /// Returns its current bytes.
    pub fn bytes(&self) -> Vec<u8> {
        // SAFETY: readable for the life of the mapping; nothing else writes to it any more.
        unsafe { std::slice::from_raw_parts(self.at as *const u8, self.length) }.to_vec()
    }
}

impl Drop for EdgeBuffer {
    fn drop(&mut self) {
        if let Ok(base) = pointer(self.base) {
            // SAFETY: the mapping is this buffer's own.
            let _ = unsafe { munmap(base, self.span as usize) };
        }
    }
}
