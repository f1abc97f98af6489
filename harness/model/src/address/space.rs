//! What the calls of a walk have led to.

use super::{
    areas::Areas,
    dirty::Dirty,
    flaw::Flaw,
    memory::{Buffer, PAGE},
    moves::{Mock, Move},
    span::{self, Span},
};
use crate::{Hwpt, Ioas, Pt};

/// Number of IOASes.
pub const IOASES: usize = 2;
/// Number of mock devices that there can be at once.
pub const MOCKS: usize = 3;
/// Number of HWPTs that there can be at once.
pub const HWPTS: usize = 2;
/// Number of accesses that there can be at once.
pub const ACCESSES: usize = 3;

/// The smallest page of a mock device's page table (`MOCK_PAGE_SIZE`).
pub const MOCK_PAGE: u64 = 2048;
/// What a mock device's page table can map (`MOCK_APERTURE_START`, `MOCK_APERTURE_LAST`).
pub const APERTURE: Span = Span::between(0x100_0000, 0x7fff_ffff);

/// What is the same throughout a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The most bytes that the kernel may take for one batch of pages.
    pub batch: u32,
    /// More drivers that have access to the first IOAS and pin nothing, for unmaps to ask.
    pub crowd: u32,
    /// The memory that there is.
    pub buffers: Vec<Buffer>,
    /// Whether `IOMMU_OPTION_HUGE_PAGES` is off, so that each page has an entry and a dirty bit of
    /// its own in a page table.
    pub small_pages: bool,
    /// Whether there is a vfio device, which does DMA.
    pub vfio: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            batch: 65536,
            crowd: 0,
            buffers: Buffer::ALL.into(),
            small_pages: false,
            vfio: false,
        }
    }
}

/// An IOAS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AddressSpace {
    pub areas: Areas,
    /// What `IOMMU_IOAS_ALLOW_IOVAS` has set, if anything.
    pub allowed: Vec<Span>,
}

/// An HWPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    pub ioas: Ioas,
    /// Its dirty bits, if it has them.
    pub dirty: Option<Dirty>,
}

/// A pin of a driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub number: u32,
    pub span: Span,
}

/// A driver's access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Driver {
    pub ioas: Ioas,
    pub pins: bool,
    pub items: Vec<Item>,
    /// Number of the next pin.
    pub next: u32,
}

/// The state of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    pub(super) setting: Setting,
    pub(super) flaw: Option<Flaw>,
    pub(super) ioases: [AddressSpace; IOASES],
    pub(super) mocks: [Option<Pt>; MOCKS],
    pub(super) hwpts: [Option<Table>; HWPTS],
    pub(super) drivers: [Option<Driver>; ACCESSES],
    /// The IOAS of the vfio device, if it is attached.
    pub(super) vfio: Option<Ioas>,
    /// Number of mappings that were made.
    pub(super) mapped: u32,
    /// IOASes whose domain stays, by [`Flaw::DomainStays`].
    pub(super) stale: [bool; IOASES],
}

impl Space {
    /// The beginning of a walk.
    pub fn begin(setting: Setting) -> Self {
        Self {
            setting,
            ..Self::default()
        }
    }

    /// The same with a rule that is wrong.
    #[must_use]
    pub fn with(self, flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..self
        }
    }

    /// What is the same throughout the walk.
    pub const fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The ranges of IOVAs that an IOAS has mapped, in order.
    pub fn mappings(&self, ioas: Ioas) -> Vec<Span> {
        let areas = self.ioases[ioas.0].areas.all();
        areas.map(|part| part.whole).collect()
    }

    /// The devices that there are.
    pub fn mocks(&self) -> impl Iterator<Item = (Mock, Pt)> + '_ {
        let mocks = self.mocks.iter().enumerate();
        mocks.filter_map(|(number, pt)| Some((Mock(number), (*pt)?)))
    }

    /// The HWPTs that there are, and their IOASes.
    pub fn hwpts(&self) -> impl Iterator<Item = (Hwpt, Ioas)> + '_ {
        let hwpts = self.hwpts.iter().enumerate();
        hwpts.filter_map(|(number, table)| Some((Hwpt(number), table.as_ref()?.ioas)))
    }

    /// The accesses that there are: their IOASes, whether they pin, and the numbers of their pins.
    pub fn accesses(&self) -> impl Iterator<Item = (super::Access, Ioas, bool, Vec<u32>)> + '_ {
        let drivers = self.drivers.iter().enumerate();
        drivers.filter_map(|(number, driver)| {
            let driver = driver.as_ref()?;
            let items = driver.items.iter().map(|item| item.number).collect();
            Some((super::Access(number), driver.ioas, driver.pins, items))
        })
    }

    /// The moves that end whatever holds pages: accesses, devices, and then HWPTs.
    pub fn endings(&self) -> Vec<Move> {
        let accesses = self
            .accesses()
            .map(|(access, ..)| Move::CloseAccess(access));
        let vfio = self.vfio.map(|_| Move::DetachVfio);
        let mocks = self.mocks().map(|(mock, _)| Move::Leave(mock));
        let hwpts = self.hwpts().map(|(hwpt, _)| Move::DestroyHwpt(hwpt));
        accesses.chain(vfio).chain(mocks).chain(hwpts).collect()
    }

    /// The IOAS of an object that a device can be attached to.
    pub fn ioas_of(&self, pt: Pt) -> Option<Ioas> {
        match pt {
            Pt::Ioas(ioas) => Some(ioas),
            Pt::Hwpt(hwpt) => Some(self.hwpts.get(hwpt.0)?.as_ref()?.ioas),
        }
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Whether devices attached to the IOAS itself have given it a domain.
    pub(super) fn has_own_domain(&self, ioas: Ioas) -> bool {
        self.mocks.contains(&Some(Pt::Ioas(ioas)))
    }

    /// Whether an IOAS has a domain.
    pub(super) fn has_domain(&self, ioas: Ioas) -> bool {
        self.vfio == Some(ioas) || self.has_mock_domain(ioas)
    }

    /// Whether an IOAS has a domain of mock devices.
    fn has_mock_domain(&self, ioas: Ioas) -> bool {
        let mut hwpts = self.hwpts.iter().flatten();
        self.has_own_domain(ioas) || hwpts.any(|it| it.ioas == ioas) || self.stale[ioas.0]
    }

    /// The smallest alignment that IOVAs of an IOAS have to have.
    pub(super) fn alignment(&self, ioas: Ioas) -> u64 {
        let mut drivers = self.drivers.iter().flatten();
        let pins = drivers.any(|driver| driver.pins && driver.ioas == ioas)
            || (ioas.0 == 0 && self.setting.crowd > 0);
        match (pins, self.has_domain(ioas)) {
            _ if self.setting.small_pages || self.vfio == Some(ioas) => PAGE,
            (true, _) if !self.has(Flaw::AccessAlignsNothing) => PAGE,
            (_, true) => MOCK_PAGE,
            _ => 1,
        }
    }

    /// The ranges that no mapping may have.
    pub(super) fn reserved(&self, ioas: Ioas) -> Vec<Span> {
        // The vfio device reserves nothing that a walk reaches.
        match self.has_mock_domain(ioas) && !self.has(Flaw::AttachReservesNothing) {
            true => span::holes(Span::ALL, [APERTURE]),
            false => Vec::new(),
        }
    }
}
