//! Draws the moves of a walk.

use model::{
    Hwpt, Ioas, Pt,
    address::{
        Access, Buffer, Mapping, Mock, Move, Place, Query, Range, Rights, Setting, Space, Span,
    },
};

use super::dice::Dice;

/// The first IOVA that a mock device can map. Most mappings of a walk are near to it, so that they
/// meet.
const ARENA: u64 = 0x100_0000;
/// Pages of the arena.
const PAGES: u64 = 48;
/// Bytes of a page.
const PAGE: u64 = 0x1000;
/// The most pages that a mapping has.
const LONGEST: u64 = 24;
/// Draws of a move before a walk only looks. Few moves cannot be made.
const TRIES: usize = 64;
/// The drivers of a crowd.
const CROWD: u32 = 48;

/// A walk: where it begins, and its moves.
#[derive(Debug, Clone)]
pub struct Drawn {
    /// The beginning.
    pub begin: Space,
    /// The moves.
    pub moves: Vec<Move>,
}

/// Kinds of moves, and how many of all draws are of that kind.
const KINDS: [(Kind, u64); 29] = [
    (Kind::Map, 22),
    (Kind::Copy, 12),
    (Kind::Starved, 5),
    (Kind::UnmapOne, 11),
    (Kind::UnmapAny, 5),
    (Kind::UnmapAll, 1),
    (Kind::RaceOfUnmaps, 3),
    (Kind::RaceOfMaps, 1),
    (Kind::Allow, 3),
    (Kind::Attach, 6),
    (Kind::Replace, 5),
    (Kind::Leave, 4),
    (Kind::AllocateHwpt, 4),
    (Kind::DestroyHwpt, 3),
    (Kind::Track, 8),
    (Kind::Write, 16),
    (Kind::GetDirty, 24),
    (Kind::AttachVfio, 8),
    (Kind::DetachVfio, 3),
    (Kind::Dma, 12),
    (Kind::OpenAccess, 6),
    (Kind::MoveAccess, 2),
    (Kind::CloseAccess, 2),
    (Kind::Pin, 12),
    (Kind::Unpin, 4),
    (Kind::Transfer, 7),
    (Kind::Ranges, 2),
    (Kind::Translate, 8),
    (Kind::Pins, 5),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Map,
    Copy,
    Starved,
    UnmapOne,
    UnmapAny,
    UnmapAll,
    RaceOfUnmaps,
    RaceOfMaps,
    Allow,
    Attach,
    Replace,
    Leave,
    AllocateHwpt,
    DestroyHwpt,
    Track,
    Write,
    GetDirty,
    AttachVfio,
    DetachVfio,
    Dma,
    OpenAccess,
    MoveAccess,
    CloseAccess,
    Pin,
    Unpin,
    Transfer,
    Ranges,
    Translate,
    Pins,
}

/// Draws the walk of a number.
pub fn drawn(seed: u64, number: u64, length: usize) -> Drawn {
    let mut dice = Dice::new(seed, number);
    let setting = setting(&mut dice);
    let grain = match dice.once_in(4) && !setting.small_pages {
        true => PAGE / 2,
        false => PAGE,
    };
    let begin = Space::begin(setting);
    let mut walk = Draw {
        space: begin.clone(),
        dice,
        grain,
    };
    let mut moves = walk.opening();
    moves.extend((moves.len()..length).map(|_| walk.next()));
    Drawn { begin, moves }
}

fn setting(dice: &mut Dice) -> Setting {
    let mut buffers = vec![Buffer::Private, Buffer::Shared, Buffer::File];
    if dice.once_in(3) {
        buffers.push(Buffer::Huge);
    }
    if !dice.once_in(3) {
        // Twice, so that about half of the mappings are of it.
        buffers.extend([Buffer::Pieces; 2]);
    }
    Setting {
        // A range of pages takes 12 bytes of a batch.
        batch: dice.pick(&[12, 24, 60, 96, 65536]).unwrap_or(65536),
        crowd: if dice.once_in(6) { CROWD } else { 0 },
        buffers,
        small_pages: dice.once_in(3),
        vfio: dice.once_in(3),
    }
}

/// A walk that is being drawn.
struct Draw {
    space: Space,
    dice: Dice,
    /// Mappings begin and end at multiples of this.
    grain: u64,
}

impl Draw {
    /// A walk with dirty bits begins with an HWPT that has them, which chance brings too late.
    fn opening(&mut self) -> Vec<Move> {
        if !self.space.setting().small_pages {
            return Vec::new();
        }
        let (mock, ioas, hwpt) = (Mock(0), self.ioas(), Hwpt(0));
        let all = [
            Move::Attach(mock, ioas),
            Move::AllocateHwpt {
                hwpt,
                mock,
                ioas,
                tracks: true,
            },
            Move::Track(hwpt, true),
        ];
        let mut made = Vec::new();
        for one in all {
            if let Some((_, next)) = self.space.play(&one) {
                self.space = next;
                made.push(one);
            }
        }
        made
    }

    fn next(&mut self) -> Move {
        for _ in 0..TRIES {
            let kind = self.kind();
            let Some(one) = self.of_kind(kind) else {
                continue;
            };
            if let Some((_, next)) = self.space.play(&one) {
                self.space = next;
                return one;
            }
        }
        Move::Ranges(Ioas(0))
    }

    fn kind(&mut self) -> Kind {
        let all = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut left = self.dice.below(all);
        for (kind, weight) in KINDS {
            match left.checked_sub(weight) {
                Some(less) => left = less,
                None => return kind,
            }
        }
        Kind::Map
    }

    fn of_kind(&mut self, kind: Kind) -> Option<Move> {
        Some(match kind {
            Kind::Map => Move::Make(self.map()),
            Kind::Copy => Move::Make(self.copy()),
            Kind::Starved => {
                let copy = self.dice.once_in(3);
                Move::Starved(if copy { self.copy() } else { self.map() })
            }
            Kind::UnmapOne => {
                let ioas = self.ioas();
                Move::Unmap(ioas, self.mapping(ioas)?)
            }
            Kind::UnmapAny => {
                let ioas = self.ioas();
                Move::Unmap(ioas, self.range(ioas))
            }
            Kind::UnmapAll => Move::UnmapAll(self.ioas()),
            Kind::RaceOfUnmaps => {
                let ioas = self.ioas();
                Move::RaceOfUnmaps(ioas, self.mapping(ioas)?)
            }
            Kind::RaceOfMaps => {
                let (from, length) = self.memory();
                let iova = self.iova();
                Move::RaceOfMaps(self.ioas(), from, Range { iova, length })
            }
            Kind::Allow => Move::Allow(self.ioas(), self.allowed()),
            Kind::Attach => Move::Attach(Mock(self.index(3)), self.ioas()),
            Kind::Replace => Move::Replace(self.mock()?, self.pt()),
            Kind::Leave => Move::Leave(self.mock()?),
            Kind::AllocateHwpt => Move::AllocateHwpt {
                hwpt: Hwpt(self.index(2)),
                mock: self.mock()?,
                ioas: self.ioas(),
                tracks: self.space.setting().small_pages && !self.dice.once_in(4),
            },
            Kind::DestroyHwpt => Move::DestroyHwpt(Hwpt(self.index(2))),
            Kind::Track => Move::Track(self.tracked()?, !self.dice.once_in(4)),
            Kind::Write => {
                let hwpt = self.tracked()?;
                let ioas = self.space.ioas_of(Pt::Hwpt(hwpt))?;
                Move::Write(hwpt, self.range(ioas))
            }
            Kind::GetDirty => self.dirty()?,
            Kind::AttachVfio => Move::AttachVfio(self.ioas()),
            Kind::DetachVfio => Move::DetachVfio,
            Kind::Dma => self.dma(),
            Kind::OpenAccess => Move::OpenAccess {
                access: Access(self.index(3)),
                ioas: self.ioas(),
                pins: !self.dice.once_in(4),
            },
            Kind::MoveAccess => Move::MoveAccess(self.access()?.0, self.ioas()),
            Kind::CloseAccess => Move::CloseAccess(self.access()?.0),
            Kind::Pin => self.pin()?,
            Kind::Unpin => {
                let (access, _, items) = self.access()?;
                let known = self.dice.pick(&items);
                Move::Unpin(access, known.unwrap_or_else(|| self.dice.below(8) as u32))
            }
            Kind::Transfer => self.transfer()?,
            Kind::Ranges => Move::Ranges(self.ioas()),
            Kind::Translate => self.translate()?,
            Kind::Pins => Move::Pins(self.dice.pick(&self.space.setting().buffers)?),
        })
    }

    fn index(&mut self, end: u64) -> usize {
        self.dice.below(end) as usize
    }

    fn ioas(&mut self) -> Ioas {
        Ioas(self.index(2))
    }

    fn mock(&mut self) -> Option<Mock> {
        let mocks: Vec<_> = self.space.mocks().map(|(mock, _)| mock).collect();
        self.dice.pick(&mocks)
    }

    fn pt(&mut self) -> Pt {
        match self.dice.once_in(2) {
            true => Pt::Ioas(self.ioas()),
            false => Pt::Hwpt(Hwpt(self.index(2))),
        }
    }

    fn access(&mut self) -> Option<(Access, Ioas, Vec<u32>)> {
        let all: Vec<_> = self.space.accesses().collect();
        let (access, ioas, _, items) = self.dice.pick(&all)?;
        Some((access, ioas, items))
    }

    /// An IOVA of the arena, or near to what a device cannot map.
    fn iova(&mut self) -> u64 {
        let pages = self.dice.below(PAGES);
        match self.dice.below(24) {
            0 => PAGE + pages * PAGE,
            1 => ARENA - PAGE * self.dice.below(4),
            2 => 0x8000_0000 - PAGE * self.dice.below(4),
            _ => ARENA + pages * PAGE + self.part_of_page(),
        }
    }

    fn part_of_page(&mut self) -> u64 {
        match self.dice.once_in(4) {
            true => self.grain % PAGE,
            false => 0,
        }
    }

    fn length(&mut self) -> u64 {
        let most = if self.dice.once_in(3) { LONGEST } else { 6 };
        match self.dice.once_in(48) {
            true => 0,
            false => (1 + self.dice.below(most)) * PAGE - self.part_of_page(),
        }
    }

    fn memory(&mut self) -> (Place, u64) {
        let buffers = &self.space.setting().buffers;
        let buffer = self.dice.pick(buffers).unwrap_or(Buffer::Private);
        let length = self.length();
        let room = (buffer.size().saturating_sub(length)) / PAGE;
        let offset = match self.dice.once_in(4) {
            true => 0,
            false => self.dice.below(room + 1) * PAGE,
        };
        let part = self.part_of_page();
        let offset = if offset + part + length <= buffer.size() {
            offset + part
        } else {
            offset
        };
        (Place { buffer, offset }, length)
    }

    fn rights(&mut self) -> Rights {
        match self.dice.below(24) {
            0 => Rights::None,
            1 => Rights::Write,
            2..=4 => Rights::Read,
            _ => Rights::Both,
        }
    }

    /// A fixed IOVA, or that of the kernel's choice.
    fn at(&mut self) -> Option<u64> {
        (!self.dice.once_in(5)).then(|| self.iova())
    }

    fn map(&mut self) -> Mapping {
        let (from, length) = self.memory();
        Mapping::Map {
            ioas: self.ioas(),
            from,
            length,
            at: self.at(),
            rights: self.rights(),
        }
    }

    fn copy(&mut self) -> Mapping {
        let from = self.ioas();
        Mapping::Copy {
            from,
            range: self.range(from),
            to: self.ioas(),
            at: self.at(),
            rights: self.rights(),
        }
    }

    /// The whole of a mapping.
    fn mapping(&mut self, ioas: Ioas) -> Option<Range> {
        let span = self.dice.pick(&self.space.mappings(ioas))?;
        Some(range(span))
    }

    /// A mapping, a part of one, from one to another, or anything.
    fn range(&mut self, ioas: Ioas) -> Range {
        let mappings = self.space.mappings(ioas);
        let picked = (self.dice.pick(&mappings), self.dice.pick(&mappings));
        let (Some(one), Some(other)) = picked else {
            return self.anything();
        };
        match self.dice.below(8) {
            0..=2 => range(one),
            3 | 4 => self.part(one),
            5 | 6 => range(Span::between(
                one.first().min(other.first()),
                one.last().max(other.last()),
            )),
            _ => self.anything(),
        }
    }

    fn anything(&mut self) -> Range {
        Range {
            iova: self.iova(),
            length: self.length(),
        }
    }

    /// A part of a range, at multiples of the grain where it has them.
    fn part(&mut self, of: Span) -> Range {
        let grains = of.length().unwrap_or_default() / self.grain;
        let first = self.dice.below(grains);
        let more = self.dice.below(grains - first.min(grains));
        Range {
            iova: of.first() + first * self.grain,
            length: (more + 1) * self.grain,
        }
    }

    fn pin(&mut self) -> Option<Move> {
        let (access, ioas, _) = self.access()?;
        Some(Move::Pin {
            access,
            range: self.range(ioas),
            write: self.dice.once_in(2),
        })
    }

    /// An HWPT of a walk with dirty bits. It may have none.
    fn tracked(&mut self) -> Option<Hwpt> {
        if !self.space.setting().small_pages {
            return None;
        }
        let hwpts: Vec<_> = self.space.hwpts().map(|(hwpt, _)| hwpt).collect();
        self.dice.pick(&hwpts)
    }

    fn dirty(&mut self) -> Option<Move> {
        let hwpt = self.tracked()?;
        let ioas = self.space.ioas_of(Pt::Hwpt(hwpt))?;
        let sizes = [PAGE, PAGE, PAGE, PAGE / 2, 2 * PAGE, 0];
        Some(Move::GetDirty(
            hwpt,
            Query {
                range: self.range(ioas),
                page_size: self.dice.pick(&sizes)?,
                clears: self.dice.once_in(2),
            },
        ))
    }

    /// A page of a mapping where the device is, or any.
    fn dma(&mut self) -> Move {
        let near = match self.space.vfio() {
            Some(ioas) => self.range(ioas).iova,
            None => self.iova(),
        };
        Move::Dma(near / PAGE * PAGE)
    }

    fn transfer(&mut self) -> Option<Move> {
        let (access, ioas, _) = self.access()?;
        let whole = self.range(ioas);
        let skip = self.dice.below(whole.length.min(0x40));
        let length = match self.dice.once_in(3) {
            true => whole.length - skip,
            false => 1 + self.dice.below(0x1800),
        };
        Some(Move::Transfer {
            access,
            range: Range {
                iova: whole.iova + skip,
                length: length.min(super::script::MOST_MOVED),
            },
            write: self.dice.once_in(2),
            slow: !self.dice.once_in(3),
        })
    }

    fn translate(&mut self) -> Option<Move> {
        let mock = self.mock()?;
        let (_, pt) = self.space.mocks().find(|(it, _)| *it == mock)?;
        let ioas = self.space.ioas_of(pt)?;
        Some(Move::Translate(mock, self.range(ioas)))
    }

    /// Up to three ranges, mostly within what a device can map. They may overlap.
    fn allowed(&mut self) -> Vec<Span> {
        let count = self.dice.below(4);
        (0..count)
            .map(|_| {
                let first = match self.dice.once_in(6) {
                    true => self.iova(),
                    false => ARENA + self.dice.below(PAGES) * PAGE,
                };
                let length = self.dice.below(12) * PAGE;
                Span::between(first, first + length.max(1) - 1)
            })
            .collect()
    }
}

fn range(span: Span) -> Range {
    Range {
        iova: span.first(),
        length: span.length().unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use model::address::Answer;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_seed_and_a_number_draw_one_walk() {
        let moves = |seed, number| drawn(seed, number, 60).moves;
        assert_eq!(moves(7, 3).len(), 60);
        assert_eq!(moves(7, 3), moves(7, 3));
        assert_ne!(moves(7, 3), moves(7, 4));
        assert_ne!(moves(7, 3), moves(8, 3));
    }

    fn mapped(space: &Space) -> u64 {
        let all = (0..2).flat_map(|ioas| space.mappings(Ioas(ioas)));
        all.filter_map(Span::length).sum()
    }

    /// Ends whatever holds pages, and unmaps everything.
    fn ended(space: &Space) -> Space {
        let moves = space.endings();
        moves.iter().fold(space.clone(), |space, one| {
            let (answer, next) = space.play(one).unwrap();
            assert_eq!(answer, Answer::Done, "{one}");
            next
        })
    }

    proptest! {
        #[test]
        fn the_oracle_keeps_its_own_rules(seed: u64, number: u64) {
            let walk = drawn(seed, number, 60);
            let mut space = walk.begin;
            for one in &walk.moves {
                let (answer, next) = space.play(one).unwrap();
                match (one, &answer) {
                    // An unmap may have gone half way.
                    (Move::Unmap(..), Answer::Refused(_)) => {}
                    (_, Answer::Refused(_) | Answer::Neither(_)) => {
                        prop_assert_eq!(&next, &space, "{}", one);
                    }
                    (Move::Unmap(..) | Move::UnmapAll(_), Answer::Unmapped(bytes)) => {
                        prop_assert_eq!(mapped(&space) - bytes, mapped(&next), "{}", one);
                    }
                    _ => prop_assert!(mapped(&next) >= mapped(&space) || one.races(), "{}", one),
                }
                let mappings = (0..2).map(|ioas| next.mappings(Ioas(ioas)));
                for spans in mappings {
                    let apart = spans.windows(2).all(|two| two[0].last() < two[1].first());
                    prop_assert!(apart, "{}: {:x?}", one, spans);
                }
                space = next;
            }
            prop_assert_eq!(ended(&space).pinned().bytes(), 0);
        }
    }
}
