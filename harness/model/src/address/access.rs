//! Drivers that pin pages, or read and write.

use super::{
    areas::{Part, contiguous_memory},
    errno::Errno,
    flaw::Flaw,
    memory::PAGE,
    moves::{Access, Answer, Range},
    space::{Driver, Item, Space},
    span::Span,
};
use crate::Ioas;

/// The most bytes that the mock pins or reads at once.
const MOST_PINNED: u64 = 0x100_0000;

impl Space {
    pub(super) fn open(&mut self, access: Access, ioas: Ioas, pins: bool) -> Option<Answer> {
        if self.drivers.get(access.0)?.is_some() {
            return None;
        }
        if let Err(errno) = self.takes_alignment(ioas, if pins { PAGE } else { 1 }) {
            return Some(Answer::Refused(errno));
        }
        self.drivers[access.0] = Some(Driver {
            ioas,
            pins,
            items: Vec::new(),
            next: 0,
        });
        Some(Answer::Done)
    }

    /// An access moves. Its driver releases everything, unless it is there already.
    pub(super) fn move_access(&mut self, access: Access, to: Ioas) -> Option<Answer> {
        let driver = self.drivers.get(access.0)?.as_ref()?;
        if driver.ioas == to {
            return Some(Answer::Done);
        }
        if let Err(errno) = self.takes_alignment(to, if driver.pins { PAGE } else { 1 }) {
            return Some(Answer::Refused(errno));
        }
        let stay = self.has(Flaw::PinsStay);
        let driver = self.drivers[access.0].as_mut()?;
        driver.ioas = to;
        if !stay {
            driver.items.clear();
        }
        Some(Answer::Done)
    }

    pub(super) fn close(&mut self, access: Access) -> Option<Answer> {
        self.drivers.get_mut(access.0)?.take()?;
        Some(Answer::Done)
    }

    pub(super) fn pin(&mut self, access: Access, range: Range, write: bool) -> Option<Answer> {
        let driver = self.drivers.get(access.0)?.as_ref()?;
        // The mock does not let it try.
        if !driver.pins || range.length > MOST_PINNED {
            return None;
        }
        let span = match range.span() {
            Ok(span) => span,
            Err(errno) => return Some(Answer::Refused(errno)),
        };
        let (parts, complete) = self.ioases[driver.ioas.0].areas.contiguous(span);
        let refused = parts
            .iter()
            .find_map(|part| self.pin_refused(part, span, write));
        if let Some(errno) = refused.or((!complete).then_some(Errno::ENOENT)) {
            return Some(Answer::Refused(errno));
        }
        let place = contiguous_memory(&parts);
        let driver = self.drivers[access.0].as_mut()?;
        let number = driver.next;
        driver.next += 1;
        driver.items.push(Item { number, span });
        Some(Answer::Pinned(number, place))
    }

    /// Why a part of a mapping cannot be pinned.
    fn pin_refused(&self, part: &Part, all: Span, write: bool) -> Option<Errno> {
        let begins = part.place.offset.is_multiple_of(PAGE);
        let end = part.area.place.offset + (part.whole.last() - part.whole.first()) + 1;
        let ends = part.whole.last() >= all.last() || end.is_multiple_of(PAGE);
        if !begins || !ends {
            return Some(Errno::EINVAL);
        }
        let allowed = part.area.rights.allow(write) || self.has(Flaw::PinWithoutRights);
        (!allowed).then_some(Errno::EPERM)
    }

    pub(super) fn unpin(&mut self, access: Access, number: u32) -> Option<Answer> {
        let driver = self.drivers.get_mut(access.0)?.as_mut()?;
        let before = driver.items.len();
        driver.items.retain(|item| item.number != number);
        Some(match driver.items.len() < before {
            true => Answer::Done,
            false => Answer::Refused(Errno::ENOENT),
        })
    }

    pub(super) fn transfer(&self, access: Access, range: Range, write: bool) -> Option<Answer> {
        let driver = self.drivers.get(access.0)?.as_ref()?;
        let span = match range.span() {
            Ok(span) => span,
            Err(errno) => return Some(Answer::Refused(errno)),
        };
        let (parts, complete) = self.ioases[driver.ioas.0].areas.contiguous(span);
        let refused = parts.iter().any(|part| !part.area.rights.allow(write));
        Some(match (refused, parts.first(), parts.last()) {
            (true, ..) => Answer::Refused(Errno::EPERM),
            (_, Some(first), Some(last)) if complete => {
                let length = last.span.last() - last.span.first();
                Answer::Moved(first.place, last.place.plus(length))
            }
            _ => Answer::Refused(Errno::ENOENT),
        })
    }

    /// Drivers release each pin that has something of this mapping.
    pub(super) fn release(&mut self, ioas: Ioas, mapping: Span) {
        let drivers = self.drivers.iter_mut().flatten();
        for driver in drivers.filter(|driver| driver.ioas == ioas) {
            driver.items.retain(|item| !item.span.meets(mapping));
        }
    }

    /// Whether a driver has pinned something of a mapping.
    pub(super) fn is_pinned(&self, ioas: Ioas, mapping: Span) -> bool {
        let mut drivers = self.drivers.iter().flatten();
        drivers.any(|driver| {
            driver.ioas == ioas && driver.items.iter().any(|it| it.span.meets(mapping))
        })
    }
}
