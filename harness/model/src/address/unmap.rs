//! Unmaps.

use super::{
    errno::Errno,
    flaw::Flaw,
    moves::{Answer, Range},
    space::Space,
    span::Span,
};
use crate::Ioas;

impl Space {
    /// `IOMMU_IOAS_UNMAP` of a range: each mapping in it has to be in it as a whole. Those before
    /// one that is not stay unmapped.
    pub(super) fn unmap(&mut self, ioas: Ioas, range: Range) -> Answer {
        let span = match range.span() {
            Ok(span) => span,
            Err(errno) => return Answer::Refused(errno),
        };
        match self.take(ioas, span) {
            Ok(0) if !self.has(Flaw::UnmapNothing) => Answer::Refused(Errno::ENOENT),
            Ok(bytes) => Answer::Unmapped(bytes),
            Err(errno) => Answer::Refused(errno),
        }
    }

    /// `IOMMU_IOAS_UNMAP` of everything, which may be nothing.
    pub(super) fn unmap_all(&mut self, ioas: Ioas) -> Answer {
        match self.take(ioas, Span::ALL) {
            Ok(bytes) => Answer::Unmapped(bytes),
            Err(errno) => Answer::Refused(errno),
        }
    }

    fn take(&mut self, ioas: Ioas, span: Span) -> Result<u64, Errno> {
        let parts: Vec<_> = self.ioases[ioas.0].areas.parts(span).collect();
        let mut bytes = 0u64;
        for part in parts {
            if !span.covers(part.whole) && !self.has(Flaw::UnmapSplits) {
                return Err(Errno::ENOENT);
            }
            if self.has(Flaw::UnmapRefusesPins) && self.is_pinned(ioas, part.whole) {
                return Err(Errno::EBUSY);
            }
            // The drivers are asked, and release whatever they have pinned there.
            self.release(ioas, part.whole);
            self.ioases[ioas.0].areas.remove(part.whole.first());
            self.forget_dirty(ioas, part.whole);
            bytes += part.whole.length().unwrap_or_default();
        }
        Ok(bytes)
    }

    /// Two equal unmaps at once. The kernel may tell the second one of its work on the first
    /// (`EBUSY`), or of its end (`ENOENT`). Nothing but a single mapping has one end.
    pub(super) fn race_of_unmaps(&mut self, ioas: Ioas, range: Range) -> Option<Answer> {
        let span = range.span().ok()?;
        let parts = self.ioases[ioas.0].areas.parts(span).count();
        if parts > 1 {
            return None;
        }
        Some(match self.unmap(ioas, range) {
            Answer::Refused(errno) => Answer::Neither(errno),
            _ => Answer::OneOfTwo(vec![Errno::ENOENT, Errno::EBUSY]),
        })
    }
}
