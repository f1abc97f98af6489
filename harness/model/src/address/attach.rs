//! Devices and HWPTs.

use super::{
    dirty::Dirty,
    errno::Errno,
    flaw::Flaw,
    memory::PAGE,
    moves::{Answer, Mock},
    space::{APERTURE, MOCK_PAGE, Space, Table},
    span::{self, Span},
};
use crate::{Hwpt, Ioas, Pt};

impl Space {
    /// A new device is attached to an IOAS.
    pub(super) fn attach(&mut self, mock: Mock, ioas: Ioas) -> Option<Answer> {
        let empty = self.mocks.get(mock.0)?.is_none();
        empty.then(|| self.move_to(mock, Pt::Ioas(ioas)))
    }

    /// A device moves to an IOAS or an HWPT.
    pub(super) fn replace(&mut self, mock: Mock, pt: Pt) -> Option<Answer> {
        (*self.mocks.get(mock.0)?)?;
        self.ioas_of(pt)?;
        // It would be handed the domain of the vfio device: finding
        // `replace-group-handle-foreign-domain`.
        if self.vfio.is_some_and(|ioas| pt == Pt::Ioas(ioas)) {
            return None;
        }
        Some(self.move_to(mock, pt))
    }

    fn move_to(&mut self, mock: Mock, pt: Pt) -> Answer {
        if let Pt::Ioas(ioas) = pt
            && !self.has_own_domain(ioas)
            && let Err(errno) = self.takes_domain(ioas)
        {
            return Answer::Refused(errno);
        }
        self.leave_from(mock);
        self.mocks[mock.0] = Some(pt);
        Answer::Done
    }

    /// A device is detached, and is no more.
    pub(super) fn leave(&mut self, mock: Mock) -> Option<Answer> {
        (*self.mocks.get(mock.0)?)?;
        self.leave_from(mock);
        Some(Answer::Done)
    }

    fn leave_from(&mut self, mock: Mock) {
        let before = self.mocks[mock.0].take();
        if let Some(Pt::Ioas(ioas)) = before
            && self.has(Flaw::DomainStays)
        {
            self.stale[ioas.0] = true;
        }
    }

    /// An HWPT of an IOAS for a device. It is filled at once.
    pub(super) fn allocate(
        &mut self,
        hwpt: Hwpt,
        mock: Mock,
        ioas: Ioas,
        tracks: bool,
    ) -> Option<Answer> {
        (*self.mocks.get(mock.0)?)?;
        if self.hwpts.get(hwpt.0)?.is_some() {
            return None;
        }
        if let Err(errno) = self.takes_domain(ioas) {
            return Some(Answer::Refused(errno));
        }
        self.hwpts[hwpt.0] = Some(Table {
            ioas,
            dirty: tracks.then(Dirty::default),
        });
        Some(Answer::Done)
    }

    /// An HWPT is destroyed, if no device is attached to it.
    pub(super) fn destroy(&mut self, hwpt: Hwpt) -> Option<Answer> {
        self.hwpts.get(hwpt.0)?.as_ref()?;
        let pt = Some(Pt::Hwpt(hwpt));
        if self.mocks.contains(&pt) && !self.has(Flaw::HwptInUse) {
            return Some(Answer::Refused(Errno::EBUSY));
        }
        self.hwpts[hwpt.0] = None;
        Some(Answer::Done)
    }

    /// Whether an IOAS can get a domain more: what is mapped and what is allowed have to be within
    /// what the domain can map, and aligned to its pages.
    fn takes_domain(&self, ioas: Ioas) -> Result<(), Errno> {
        self.takes_alignment(ioas, MOCK_PAGE)?;
        let space = &self.ioases[ioas.0];
        for reserved in span::holes(Span::ALL, [APERTURE]) {
            let mut allowed = space.allowed.iter();
            if space.areas.parts(reserved).next().is_some()
                || (allowed.any(|it| it.meets(reserved)) && !self.has(Flaw::AllowedIgnored))
            {
                return Err(Errno::EADDRINUSE);
            }
        }
        Ok(())
    }

    /// Whether all mappings have an alignment, if it is larger than that of today.
    pub(super) fn takes_alignment(&self, ioas: Ioas, to: u64) -> Result<(), Errno> {
        debug_assert!(to <= PAGE);
        match to <= self.alignment(ioas) || self.ioases[ioas.0].areas.are_aligned(to) {
            true => Ok(()),
            false => Err(Errno::EADDRINUSE),
        }
    }
}
