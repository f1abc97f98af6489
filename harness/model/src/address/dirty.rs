//! Dirty bits: which pages devices have written to, as an HWPT tells.

use std::collections::BTreeSet;

use super::{
    errno::Errno,
    flaw::Flaw,
    memory::PAGE,
    moves::{Answer, Range},
    space::Space,
    span::Span,
};
use crate::{Hwpt, Ioas};

/// The most bits that a query of a walk returns.
const MOST_BITS: u64 = 256;
/// Bits in a word of a bitmap.
const WORD: u64 = 64;
/// The most bytes that a device of a walk writes to at once.
const MOST_WRITTEN: u64 = 0x100_0000;

/// What an HWPT that was allocated with `IOMMU_HWPT_ALLOC_DIRTY_TRACKING` knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dirty {
    /// Whether tracking is on.
    pub tracking: bool,
    /// The IOVA of each page that was written to. The kernel maps each page by an entry of its own
    /// in a walk with dirty bits, so that no other page is dirty with it.
    pub pages: BTreeSet<u64>,
}

impl Dirty {
    fn forget(&mut self, span: Span) {
        self.pages.retain(|page| !span.meets(page_at(*page)));
    }
}

fn page_at(iova: u64) -> Span {
    Span::between(iova, iova | (PAGE - 1))
}

/// A query of dirty bits: `IOMMU_HWPT_GET_DIRTY_BITMAP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// What it asks about.
    pub range: Range,
    /// Bytes that one bit stands for.
    pub page_size: u64,
    /// Whether the bits that it returns are cleared.
    pub clears: bool,
}

impl Space {
    /// `IOMMU_HWPT_SET_DIRTY_TRACKING`. What was written before it is enabled does not count.
    pub(super) fn track(&mut self, hwpt: Hwpt, enable: bool) -> Option<Answer> {
        let keep = self.has(Flaw::TrackingBeginsDirty);
        let table = self.hwpts.get_mut(hwpt.0)?.as_mut()?;
        let Some(dirty) = &mut table.dirty else {
            return Some(Answer::Refused(Errno::EOPNOTSUPP));
        };
        dirty.tracking = enable;
        if enable && !keep {
            dirty.pages.clear();
        }
        Some(Answer::Done)
    }

    /// A device writes to each page of a range that is mapped. The mock refuses to where nothing
    /// is tracked.
    pub(super) fn write(&mut self, hwpt: Hwpt, range: Range) -> Option<Answer> {
        let table = self.hwpts.get(hwpt.0)?.as_ref()?;
        if range.length > MOST_WRITTEN {
            return None;
        }
        let whole_pages = range.iova.is_multiple_of(PAGE) && range.length.is_multiple_of(PAGE);
        let tracking = table.dirty.as_ref().is_some_and(|dirty| dirty.tracking);
        if range.length == 0 || !whole_pages || !tracking {
            return Some(Answer::Refused(Errno::EINVAL));
        }
        let parts = self.ioases[table.ioas.0].areas.parts(range.span().ok()?);
        let written: Vec<_> = parts.flat_map(|part| pages_of(part.span)).collect();
        let table = self.hwpts.get_mut(hwpt.0)?.as_mut()?;
        table.dirty.as_mut()?.pages.extend(written);
        Some(Answer::Done)
    }

    /// Nothing if the range is not mapped throughout: the kernel stops at a gap and tells nobody.
    pub(super) fn query(&mut self, hwpt: Hwpt, query: Query) -> Option<Answer> {
        let table = self.hwpts.get(hwpt.0)?.as_ref()?;
        let ioas = table.ioas;
        let span = match self.asked(ioas, query) {
            Ok(span) => span,
            Err(errno) => return Some(Answer::Refused(errno)),
        };
        let stay = self.has(Flaw::DirtyStays);
        let (_, complete) = self.ioases[ioas.0].areas.contiguous(span);
        let table = self.hwpts.get_mut(hwpt.0)?.as_mut()?;
        let Some(dirty) = &mut table.dirty else {
            return Some(Answer::Refused(Errno::EOPNOTSUPP));
        };
        if !complete || query.range.length / query.page_size > MOST_BITS {
            return None;
        }
        let bits = bitmap(span, query.page_size, &dirty.pages);
        if query.clears && !stay {
            dirty.forget(span);
        }
        Some(Answer::Dirty(bits))
    }

    /// The range of a query, which has to consist of whole pages of the IOAS and of the bitmap.
    fn asked(&self, ioas: Ioas, query: Query) -> Result<Span, Errno> {
        let span = query.range.span()?;
        let aligned = |to: u64| {
            let end = span.last().wrapping_add(1);
            to != 0 && span.first().is_multiple_of(to) && end.is_multiple_of(to)
        };
        match aligned(self.alignment(ioas)) && aligned(query.page_size) {
            true => Ok(span),
            false => Err(Errno::EINVAL),
        }
    }

    /// A range of an IOAS is unmapped. What is mapped there next is clean.
    pub(super) fn forget_dirty(&mut self, ioas: Ioas, span: Span) {
        if self.has(Flaw::UnmapKeepsDirty) {
            return;
        }
        let tables = self.hwpts.iter_mut().flatten();
        for table in tables.filter(|table| table.ioas == ioas) {
            if let Some(dirty) = &mut table.dirty {
                dirty.forget(span);
            }
        }
    }
}

/// The pages that a range of whole pages consists of.
fn pages_of(span: Span) -> impl Iterator<Item = u64> {
    (span.first()..=span.last()).step_by(PAGE as usize)
}

/// A bitmap with the bit of each of a range's parts of this size that has a page among `pages`.
fn bitmap(span: Span, size: u64, pages: &BTreeSet<u64>) -> Vec<u64> {
    let mut words = vec![0; (MOST_BITS / WORD) as usize];
    for page in pages.iter().filter_map(|page| page_at(*page).and(span)) {
        for bit in (page.first() - span.first()) / size..=(page.last() - span.first()) / size {
            if let Some(word) = words.get_mut((bit / WORD) as usize) {
                *word |= 1 << (bit % WORD);
            }
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::each_page(0x1000, 0b1001)]
    #[case::two_bits_for_a_page(0x800, 0b1100_0011)]
    #[case::a_bit_for_two_pages(0x2000, 0b11)]
    fn a_bit_stands_for_its_size(#[case] size: u64, #[case] first: u64) {
        let pages = BTreeSet::from([0x10000, 0x13000, 0x14000]);
        let bits = bitmap(Span::between(0x10000, 0x13fff), size, &pages);
        assert_eq!(bits, [first, 0, 0, 0]);
    }
}
