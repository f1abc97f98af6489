//! Makes a move.

use super::{
    areas::contiguous_memory,
    errno::Errno,
    map::Target,
    memory::{Buffer, Place, Rights},
    moves::{Answer, Mapping, Mock, Move, Range},
    space::{MOCK_PAGE, Space},
    span::{self, Span},
};
use crate::Ioas;

impl Space {
    /// What the kernel has to answer to a move, and the state after it. Nothing if the move cannot
    /// be made, or if the oracle cannot know its end.
    pub fn play(&self, one: &Move) -> Option<(Answer, Self)> {
        let mut next = self.clone();
        let answer = next.make(one)?;
        Some((answer, next))
    }

    fn make(&mut self, one: &Move) -> Option<Answer> {
        match one {
            Move::Make(mapping) => self.make_mapping(mapping),
            Move::Starved(mapping) => self.starved(mapping),
            Move::Unmap(ioas, range) => Some(self.unmap(*ioas, *range)),
            Move::UnmapAll(ioas) => Some(self.unmap_all(*ioas)),
            Move::RaceOfUnmaps(ioas, range) => self.race_of_unmaps(*ioas, *range),
            Move::RaceOfMaps(ioas, from, range) => self.race_of_maps(*ioas, *from, *range),
            Move::Allow(ioas, spans) => Some(self.allow(*ioas, spans)),
            Move::Attach(mock, ioas) => self.attach(*mock, *ioas),
            Move::Replace(mock, pt) => self.replace(*mock, *pt),
            Move::Leave(mock) => self.leave(*mock),
            Move::AllocateHwpt {
                hwpt,
                mock,
                ioas,
                tracks,
            } => self.allocate(*hwpt, *mock, *ioas, *tracks),
            Move::Track(hwpt, enable) => self.track(*hwpt, *enable),
            Move::Write(hwpt, range) => self.write(*hwpt, *range),
            Move::GetDirty(hwpt, query) => self.query(*hwpt, *query),
            Move::DestroyHwpt(hwpt) => self.destroy(*hwpt),
            Move::AttachVfio(ioas) => self.attach_vfio(*ioas),
            Move::DetachVfio => self.detach_vfio(),
            Move::Dma(iova) => self.dma(*iova),
            Move::OpenAccess { access, ioas, pins } => self.open(*access, *ioas, *pins),
            Move::MoveAccess(access, ioas) => self.move_access(*access, *ioas),
            Move::CloseAccess(access) => self.close(*access),
            Move::Pin {
                access,
                range,
                write,
            } => self.pin(*access, *range, *write),
            Move::Unpin(access, item) => self.unpin(*access, *item),
            Move::Transfer {
                access,
                range,
                write,
                slow: _,
            } => self.transfer(*access, *range, *write),
            Move::Ranges(ioas) => self.ranges(*ioas),
            Move::Translate(mock, range) => self.translate(*mock, *range),
            Move::Pins(buffer) => self.pins(*buffer),
        }
    }

    /// Only where nothing else is mapped: a call that fails to tell the caller its IOVA has mapped
    /// already (finding `copy-out-failure-keeps-work`), and all of the IOAS has to be unmapped then.
    fn starved(&mut self, mapping: &Mapping) -> Option<Answer> {
        let (Mapping::Map { ioas, .. } | Mapping::Copy { to: ioas, .. }) = mapping;
        let empty = self.ioases[ioas.0].areas.all().next().is_none();
        empty.then(|| self.make_mapping(mapping))?
    }

    fn make_mapping(&mut self, mapping: &Mapping) -> Option<Answer> {
        match mapping {
            Mapping::Map {
                ioas,
                from,
                length,
                at,
                rights,
            } => {
                let to = Target {
                    ioas: *ioas,
                    at: *at,
                    rights: *rights,
                };
                self.holds(*from, *length)
                    .then(|| self.map(*from, *length, to))?
            }
            Mapping::Copy {
                from,
                range,
                to,
                at,
                rights,
            } => {
                let to = Target {
                    ioas: *to,
                    at: *at,
                    rights: *rights,
                };
                self.copy(*from, *range, to)
            }
        }
    }

    /// Whether the walk has this memory.
    fn holds(&self, from: Place, length: u64) -> bool {
        let end = from.offset.checked_add(length);
        self.setting.buffers.contains(&from.buffer)
            && end.is_some_and(|end| end <= from.buffer.size())
    }

    /// Two equal mappings at once: the second one finds the range taken.
    fn race_of_maps(&mut self, ioas: Ioas, from: Place, range: Range) -> Option<Answer> {
        if !self.holds(from, range.length) {
            return None;
        }
        let to = Target {
            ioas,
            at: Some(range.iova),
            rights: Rights::Both,
        };
        Some(match self.map(from, range.length, to)? {
            Answer::Refused(errno) => Answer::Neither(errno),
            _ => Answer::OneOfTwo(vec![Errno::EEXIST]),
        })
    }

    /// `IOMMU_IOAS_ALLOW_IOVAS` replaces the whole list, or leaves it as it was.
    fn allow(&mut self, ioas: Ioas, spans: &[Span]) -> Answer {
        let overlap = spans
            .iter()
            .enumerate()
            .any(|(at, one)| spans[..at].iter().any(|other| one.meets(*other)));
        // A range of one IOVA is refused: finding `iommufd/ioas-allow-iovas-one-byte`.
        if overlap || spans.iter().any(|it| it.first() == it.last()) {
            return Answer::Refused(Errno::EINVAL);
        }
        let reserved = self.reserved(ioas);
        if reserved
            .iter()
            .any(|it| spans.iter().any(|one| one.meets(*it)))
        {
            return Answer::Refused(Errno::EADDRINUSE);
        }
        self.ioases[ioas.0].allowed = spans.to_vec();
        Answer::Done
    }

    /// Nothing where the device is: what it reserves, and what its IOMMU can map, is the platform's.
    fn ranges(&self, ioas: Ioas) -> Option<Answer> {
        let usable = span::holes(Span::ALL, self.reserved(ioas));
        (self.vfio != Some(ioas)).then(|| Answer::Ranges(usable, self.alignment(ioas)))
    }

    /// What a device's page table has. The mock looks at whole pages of its own only.
    fn translate(&self, mock: Mock, range: Range) -> Option<Answer> {
        let pt = (*self.mocks.get(mock.0)?)?;
        let span = range.span().ok()?;
        let aligned = |it: u64| it.is_multiple_of(MOCK_PAGE);
        if !aligned(range.iova) || !aligned(range.length) {
            return None;
        }
        let ioas = self.ioas_of(pt)?;
        let (parts, complete) = self.ioases[ioas.0].areas.contiguous(span);
        let place = contiguous_memory(&parts).filter(|_| complete);
        Some(Answer::Translated(place))
    }

    fn pins(&self, buffer: Buffer) -> Option<Answer> {
        let known = buffer.counts_pins_of_pages() && self.setting.buffers.contains(&buffer);
        known.then(|| Answer::Pins(self.pinned().runs(buffer)))
    }
}
