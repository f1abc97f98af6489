//! The mappings of an IOAS.

use std::collections::BTreeMap;

use super::{
    memory::{PAGE, Place, Rights},
    span::Span,
};

/// What one `IOMMU_IOAS_MAP` gave to the kernel. All copies of the mapping share it, and pin each
/// of its pages once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pages {
    /// Which of the mappings of the walk it was.
    pub number: u32,
    /// Whether it allows writes; a copy cannot allow more.
    pub writable: bool,
}

/// A mapping: a range of IOVAs that an unmap removes as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The last IOVA.
    pub last: u64,
    /// The memory of the first IOVA.
    pub place: Place,
    /// What it shares with its copies.
    pub pages: Pages,
    /// What it allows.
    pub rights: Rights,
}

/// A piece of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Its IOVAs.
    pub span: Span,
    /// The memory of the first of them.
    pub place: Place,
    /// The mapping.
    pub area: Area,
    /// All IOVAs of the mapping.
    pub whole: Span,
}

/// The mappings of an IOAS by their first IOVA. No two of them overlap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Areas(BTreeMap<u64, Area>);

impl Areas {
    /// Adds a mapping.
    pub fn insert(&mut self, first: u64, area: Area) {
        self.0.insert(first, area);
    }

    /// Removes the mapping that begins here.
    pub fn remove(&mut self, first: u64) {
        self.0.remove(&first);
    }

    /// All mappings in order.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = Part> + '_ {
        self.0.iter().map(|(first, area)| {
            let whole = Span::between(*first, area.last);
            Part {
                span: whole,
                place: area.place,
                area: *area,
                whole,
            }
        })
    }

    /// The pieces of mappings in a range, in order. They may have gaps between them.
    pub fn parts(&self, within: Span) -> impl Iterator<Item = Part> + '_ {
        let before = self.0.range(..=within.first()).next_back();
        let from = before.map_or(within.first(), |(first, _)| *first);
        let areas = self.0.range(from..=within.last());
        areas.filter_map(move |(first, area)| {
            let whole = Span::between(*first, area.last);
            let span = whole.and(within)?;
            Some(Part {
                span,
                place: area.place.plus(span.first() - first),
                area: *area,
                whole,
            })
        })
    }

    /// The pieces from the beginning of a range up to its first gap, and whether it has none.
    pub fn contiguous(&self, within: Span) -> (Vec<Part>, bool) {
        let mut parts = Vec::new();
        let mut next = Some(within.first());
        for part in self.parts(within) {
            if next != Some(part.span.first()) {
                break;
            }
            next = part.span.last().checked_add(1);
            parts.push(part);
        }
        let last = parts.last().map(|part| part.span.last());
        (parts, last == Some(within.last()))
    }

    /// Whether the first and the last byte of each mapping are aligned, in IOVAs and in memory.
    pub fn are_aligned(&self, to: u64) -> bool {
        self.all().all(|part| {
            let first = part.whole.first();
            let length = part.whole.length().unwrap_or_default();
            let offset = part.place.offset % PAGE;
            [first, length, offset].iter().all(|it| it % to == 0)
        })
    }
}

/// The memory of pieces that follow one another there too.
pub fn contiguous_memory(parts: &[Part]) -> Option<Place> {
    let first = parts.first()?;
    let follows = parts.iter().all(|part| {
        let distance = part.span.first() - first.span.first();
        part.place == first.place.plus(distance)
    });
    follows.then_some(first.place)
}
