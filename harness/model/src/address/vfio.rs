//! A device of vfio, which does DMA.

use super::{flaw::Flaw, memory::PAGE, moves::Answer, space::Space, span::Span};
use crate::Ioas;

impl Space {
    /// The device is attached to an IOAS, or moves to it.
    pub(super) fn attach_vfio(&mut self, ioas: Ioas) -> Option<Answer> {
        if !self.setting.vfio {
            return None;
        }
        let there = self.vfio == Some(ioas);
        // A move would hand it the domain of the mock: finding `replace-group-handle-foreign-domain`.
        if self.vfio.is_some() && self.has_own_domain(ioas) {
            return None;
        }
        if let Err(errno) = self.takes_alignment(ioas, PAGE)
            && !there
        {
            return Some(Answer::Refused(errno));
        }
        self.vfio = Some(ioas);
        Some(Answer::Done)
    }

    /// It is detached, and blocked.
    pub(super) fn detach_vfio(&mut self) -> Option<Answer> {
        if !self.setting.vfio {
            return None;
        }
        if !self.has(Flaw::DetachBlocksNothing) {
            self.vfio = None;
        }
        Some(Answer::Done)
    }

    /// It writes a page of its IOVAs.
    pub(super) fn dma(&self, iova: u64) -> Option<Answer> {
        let page = Span::sized(iova, PAGE).filter(|_| iova.is_multiple_of(PAGE))?;
        if !self.setting.vfio {
            return None;
        }
        let areas = self.vfio.map(|ioas| &self.ioases[ioas.0].areas);
        let part = areas.and_then(|areas| areas.parts(page).next());
        let writable =
            part.filter(|it| it.area.rights.allow(true) || self.has(Flaw::DmaIgnoresRights));
        Some(match writable {
            Some(part) => Answer::Lands(part.place),
            None => Answer::Blocked,
        })
    }

    /// Where the device is.
    pub const fn vfio(&self) -> Option<Ioas> {
        self.vfio
    }
}
