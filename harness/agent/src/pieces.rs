//! Memory whose pages follow one another in physical memory for a few pages at a time.

use nix::sys::mman::{MRemapFlags, MapFlags, mremap, munmap};

use crate::{
    memory::{PAGE, anonymous, pointer},
    op_error::OpError,
};

/// A huge page of the kernel's choice, which is contiguous.
const HUGE: u64 = 0x20_0000;
/// Pages of each piece, over and over.
const LENGTHS: [u64; 9] = [2, 5, 1, 7, 3, 4, 9, 1, 6];

/// Attempts to get a huge page. The kernel gives up one whose pages somebody else holds just then.
const TRIES: usize = 8;

/// Maps this many bytes in pieces of a huge page. A page of it is left out after each piece, so that
/// the next one does not follow it. Gives the kernel's errno where there is no huge page.
pub fn map(length: u64, fill: u8) -> Result<u64, OpError> {
    let length = length.next_multiple_of(PAGE);
    if length > HUGE / 2 {
        return Err(nix::errno::Errno::EINVAL.into());
    }
    let room = anonymous(2 * HUGE, MapFlags::MAP_PRIVATE)?;
    let whole = room.next_multiple_of(HUGE);
    // SAFETY: `whole..whole + HUGE` lies within the mapping made above.
    unsafe { std::ptr::write_bytes(whole as *mut u8, fill, HUGE as usize) };
    collapse(whole)?;
    let at = anonymous(length, MapFlags::MAP_PRIVATE)?;
    let (mut done, mut from) = (0, whole);
    for pages in LENGTHS.iter().cycle() {
        let piece = (pages * PAGE).min(length - done);
        if piece == 0 {
            break;
        }
        put(from, piece, at + done)?;
        done += piece;
        from += piece + PAGE;
    }
    // SAFETY: what is left of the mapping is this function's own.
    unsafe { munmap(pointer(room)?, 2 * HUGE as usize)? };
    Ok(at)
}

/// Puts pages into one huge page, whatever the kernel's settings for huge pages are: a guest with
/// little memory has them off.
fn collapse(at: u64) -> Result<(), OpError> {
    let mut left = TRIES;
    loop {
        // SAFETY: the range lies within a mapping of the caller, and keeps its contents.
        let done =
            unsafe { libc::madvise(pointer(at)?.as_ptr(), HUGE as usize, libc::MADV_COLLAPSE) };
        left -= 1;
        match nix::errno::Errno::result(done) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EAGAIN) if left > 0 => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Moves pages to an address that is already taken.
fn put(from: u64, length: u64, at: u64) -> Result<(), OpError> {
    let flags = MRemapFlags::MREMAP_MAYMOVE | MRemapFlags::MREMAP_FIXED;
    let size = length as usize;
    // SAFETY: both ranges lie within mappings of the caller.
    unsafe { mremap(pointer(from)?, size, size, flags, Some(pointer(at)?))? };
    Ok(())
}
