//! Mappings and copies.

use super::{
    areas::{Area, Pages},
    choice,
    errno::Errno,
    flaw::Flaw,
    memory::{PAGE, Place, Rights},
    moves::{Answer, Range},
    space::Space,
    span::Span,
};
use crate::Ioas;

/// A piece of memory to map.
struct Piece {
    place: Place,
    length: u64,
    pages: Pages,
}

/// Where to map it, and with which rights.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub ioas: Ioas,
    pub at: Option<u64>,
    pub rights: Rights,
}

impl Space {
    /// `IOMMU_IOAS_MAP` and `IOMMU_IOAS_MAP_FILE`. Nothing if the oracle cannot know the IOVA.
    pub(super) fn map(&mut self, from: Place, length: u64, to: Target) -> Option<Answer> {
        if to.rights == Rights::None || length == 0 {
            return Some(Answer::Refused(Errno::EINVAL));
        }
        let pages = Pages {
            number: self.mapped,
            writable: to.rights.allow(true),
        };
        let piece = Piece {
            place: from,
            length,
            pages,
        };
        let answer = self.insert(&[piece], length, to)?;
        self.mapped += u32::from(matches!(answer, Answer::Mapped(_)));
        Some(answer)
    }

    /// `IOMMU_IOAS_COPY`.
    pub(super) fn copy(&mut self, from: Ioas, range: Range, to: Target) -> Option<Answer> {
        if to.rights == Rights::None {
            return Some(Answer::Refused(Errno::EINVAL));
        }
        let span = match range.span() {
            Ok(span) => span,
            Err(errno) => return Some(Answer::Refused(errno)),
        };
        let (parts, complete) = self.ioases[from.0].areas.contiguous(span);
        let may_have_gap = self.has(Flaw::CopyWithGap) && !parts.is_empty();
        if !complete && !may_have_gap {
            return Some(Answer::Refused(Errno::ENOENT));
        }
        let pieces: Vec<_> = parts
            .iter()
            .map(|part| Piece {
                place: part.place,
                length: part.span.length().unwrap_or_default(),
                pages: part.area.pages,
            })
            .collect();
        self.insert(&pieces, range.length, to)
    }

    /// Maps pieces one after the other, all of them or none.
    fn insert(&mut self, pieces: &[Piece], length: u64, to: Target) -> Option<Answer> {
        let align = self.alignment(to.ioas);
        if !length.is_multiple_of(align) {
            return Some(Answer::Refused(Errno::EINVAL));
        }
        let iova = match to.at {
            Some(iova) => self.check(to.ioas, iova, length).map(|()| iova),
            None => {
                let first = pieces.first()?;
                let own = choice::alignment(first.place, length)?;
                self.chosen(to.ioas, first.place, length, own)
            }
        };
        let refused = |piece: &Piece| self.refuses(piece, to.rights, align);
        let iova = iova.and_then(|iova| match pieces.iter().find_map(refused) {
            Some(errno) => Err(errno),
            None => Ok(iova),
        });
        Some(match iova {
            Ok(iova) => {
                self.add(pieces, iova, to);
                Answer::Mapped(iova)
            }
            Err(errno) => Answer::Refused(errno),
        })
    }

    /// Whether a fixed range can be mapped.
    fn check(&self, ioas: Ioas, iova: u64, length: u64) -> Result<(), Errno> {
        if !iova.is_multiple_of(self.alignment(ioas)) {
            return Err(Errno::EINVAL);
        }
        let span = Span::sized(iova, length).ok_or(Errno::EOVERFLOW)?;
        let mut reserved = self.reserved(ioas).into_iter();
        if reserved.any(|it| it.meets(span)) && !self.has(Flaw::MapReserved) {
            return Err(Errno::EINVAL);
        }
        let mut mapped = self.ioases[ioas.0].areas.parts(span);
        if mapped.next().is_some() && !self.has(Flaw::MapOverlaps) {
            return Err(Errno::EEXIST);
        }
        Ok(())
    }

    fn refuses(&self, piece: &Piece, rights: Rights, align: u64) -> Option<Errno> {
        let adds = rights.allow(true) && !piece.pages.writable;
        if adds && !self.has(Flaw::CopyAddsRights) {
            return Some(Errno::EPERM);
        }
        (!(piece.place.offset % PAGE).is_multiple_of(align)).then_some(Errno::EINVAL)
    }

    fn add(&mut self, pieces: &[Piece], iova: u64, to: Target) {
        let mut first = iova;
        for piece in pieces {
            let area = Area {
                last: first + (piece.length - 1),
                place: piece.place,
                pages: piece.pages,
                rights: to.rights,
            };
            self.ioases[to.ioas.0].areas.insert(first, area);
            first = area.last.wrapping_add(1);
        }
    }
}
