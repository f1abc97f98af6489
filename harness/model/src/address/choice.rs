//! The IOVA that the kernel chooses.
//!
//! The uAPI promises no more than a free range within those allowed. To know what the following
//! moves meet, the oracle says which one Linux takes: the lowest that is aligned like the memory.

use super::{
    errno::Errno,
    flaw::Flaw,
    memory::{PAGE, Place},
    space::Space,
    span::{self, Span},
};
use crate::Ioas;

/// The largest alignment: that of a huge page.
const LARGEST: u64 = 0x20_0000;

/// The alignment of an IOVA for this memory; none if it depends on what is not known of the
/// memory's address.
pub(super) fn alignment(place: Place, length: u64) -> Option<u64> {
    let wanted = length.checked_next_power_of_two()?;
    let address = match place.offset {
        0 => place.buffer.known(),
        offset => 1 << offset.trailing_zeros().min(63),
    };
    let known = address.min(place.buffer.known());
    match known {
        _ if wanted <= known => Some(wanted.min(LARGEST)),
        _ if !place.offset.is_multiple_of(place.buffer.known()) => Some(known.min(LARGEST)),
        _ => None,
    }
}

impl Space {
    /// The range that the kernel chooses.
    pub(super) fn chosen(
        &self,
        ioas: Ioas,
        place: Place,
        length: u64,
        align: u64,
    ) -> Result<u64, Errno> {
        if align < self.alignment(ioas) {
            return Err(Errno::EINVAL);
        }
        let align = match self.has(Flaw::ChoiceNotAligned) {
            true => PAGE.min(align),
            false => align,
        };
        // IOVA 0 means "none", and is never chosen.
        let any = Span::between(PAGE, u64::MAX - PAGE);
        let space = &self.ioases[ioas.0];
        let allowed = match &space.allowed[..] {
            [] => vec![any],
            _ if self.has(Flaw::ChoiceNotAllowed) => vec![any],
            allowed => span::joined(allowed.iter().copied()),
        };
        let offset = place.offset % PAGE;
        let fits = |within: Span| fitting(within, length, align, offset);
        for within in allowed.into_iter().filter_map(|it| it.and(any)) {
            let Some(first) = fits(within) else { continue };
            let within = Span::between(first, within.last());
            let mapped = space.areas.parts(within).map(|part| part.whole);
            let taken = mapped.chain(self.reserved(ioas));
            let free = span::holes(within, taken);
            if let Some(iova) = free.into_iter().find_map(fits) {
                return Ok(iova);
            }
        }
        Err(Errno::ENOSPC)
    }
}

/// The first address in a range at which this many bytes fit.
fn fitting(within: Span, length: u64, align: u64, offset: u64) -> Option<u64> {
    let first = within.first().checked_next_multiple_of(align)? | offset;
    // A range that ends with the address is left out by iopt_alloc_iova() even for one byte.
    let room = within.last().checked_sub(first).filter(|it| *it > 0)?;
    (room >= length - 1).then_some(first)
}
