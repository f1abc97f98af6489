//! What a walk does, and what the kernel answers.

use std::fmt;

use super::{
    dirty::Query,
    errno::Errno,
    memory::{Buffer, Place, Rights},
    pinned::PageRun,
    span::Span,
};
use crate::{Hwpt, Ioas, Pt};

/// A mock device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mock(pub usize);

/// A driver's access to an IOAS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access(pub usize);

/// A range of IOVAs as a call gives it: it may be empty, or go beyond the last address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Range {
    /// The first IOVA.
    pub iova: u64,
    /// Its length in bytes.
    pub length: u64,
}

impl Range {
    /// The range, or the errno of a call that is given it.
    pub const fn span(self) -> Result<Span, Errno> {
        match (self.length, Span::sized(self.iova, self.length)) {
            (0, _) => Err(Errno::EINVAL),
            (_, None) => Err(Errno::EOVERFLOW),
            (_, Some(span)) => Ok(span),
        }
    }
}

/// A call that maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mapping {
    /// `IOMMU_IOAS_MAP`, or `IOMMU_IOAS_MAP_FILE` of a file.
    Map {
        /// Where to map.
        ioas: Ioas,
        /// What to map.
        from: Place,
        /// How many bytes.
        length: u64,
        /// The IOVA; none lets the kernel choose.
        at: Option<u64>,
        /// What the mapping allows.
        rights: Rights,
    },
    /// `IOMMU_IOAS_COPY`.
    Copy {
        /// What to copy from.
        from: Ioas,
        /// What to copy.
        range: Range,
        /// What to copy to.
        to: Ioas,
        /// The IOVA there; none lets the kernel choose.
        at: Option<u64>,
        /// What the copy allows.
        rights: Rights,
    },
}

/// One move of a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// A mapping.
    Make(Mapping),
    /// A mapping, again and again: each time another allocation of the kernel fails, until none is
    /// left.
    Starved(Mapping),
    /// `IOMMU_IOAS_UNMAP` of a range.
    Unmap(Ioas, Range),
    /// `IOMMU_IOAS_UNMAP` of everything.
    UnmapAll(Ioas),
    /// Two equal unmaps at once.
    RaceOfUnmaps(Ioas, Range),
    /// Two equal mappings at once, at a fixed IOVA.
    RaceOfMaps(Ioas, Place, Range),
    /// `IOMMU_IOAS_ALLOW_IOVAS`.
    Allow(Ioas, Vec<Span>),
    /// A mock device comes and is attached: `IOMMU_TEST_OP_MOCK_DOMAIN`.
    Attach(Mock, Ioas),
    /// It moves: `IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE`.
    Replace(Mock, Pt),
    /// It is detached and goes.
    Leave(Mock),
    /// `IOMMU_HWPT_ALLOC`.
    AllocateHwpt {
        /// Its name.
        hwpt: Hwpt,
        /// The device that it is for.
        mock: Mock,
        /// What it maps.
        ioas: Ioas,
        /// Whether it has dirty bits.
        tracks: bool,
    },
    /// `IOMMU_DESTROY` of an HWPT.
    DestroyHwpt(Hwpt),
    /// `IOMMU_HWPT_SET_DIRTY_TRACKING`: enable, or disable.
    Track(Hwpt, bool),
    /// A device that is attached to an HWPT writes to each page of a range:
    /// `IOMMU_TEST_OP_DIRTY`.
    Write(Hwpt, Range),
    /// `IOMMU_HWPT_GET_DIRTY_BITMAP`.
    GetDirty(Hwpt, Query),
    /// The vfio device is attached to an IOAS, or moves there: `VFIO_DEVICE_ATTACH_IOMMUFD_PT`.
    AttachVfio(Ioas),
    /// It is detached: `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
    DetachVfio,
    /// A look: it writes a page at an IOVA.
    Dma(u64),
    /// A driver gets access to an IOAS, and pins pages or only reads and writes.
    OpenAccess {
        /// Its name.
        access: Access,
        /// What it has access to.
        ioas: Ioas,
        /// Whether it pins pages.
        pins: bool,
    },
    /// The access moves to another IOAS.
    MoveAccess(Access, Ioas),
    /// The access ends.
    CloseAccess(Access),
    /// The driver pins pages.
    Pin {
        /// By this access.
        access: Access,
        /// What it pins.
        range: Range,
        /// Whether to write to them.
        write: bool,
    },
    /// The driver releases what it has pinned under a number.
    Unpin(Access, u32),
    /// The driver reads or writes.
    Transfer {
        /// By this access.
        access: Access,
        /// What it reads or writes.
        range: Range,
        /// Whether it writes.
        write: bool,
        /// Whether it goes the way of a kernel thread, which pins what it reads.
        slow: bool,
    },
    /// A look: `IOMMU_IOAS_IOVA_RANGES`.
    Ranges(Ioas),
    /// A look at what a device's page table has.
    Translate(Mock, Range),
    /// A look at the pins of each page of a buffer.
    Pins(Buffer),
}

/// What the kernel has to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The call succeeds.
    Done,
    /// The call fails.
    Refused(Errno),
    /// It succeeds with this IOVA.
    Mapped(u64),
    /// It succeeds, and has unmapped this many bytes.
    Unmapped(u64),
    /// It succeeds, and the pin has this number. The memory is contiguous from a place on, or it
    /// consists of several parts.
    Pinned(u32, Option<Place>),
    /// It succeeds, and the first and the last byte are those at these places.
    Moved(Place, Place),
    /// One of two equal calls succeeds, and the other fails with one of these errnos.
    OneOfTwo(Vec<Errno>),
    /// Both of two equal calls fail.
    Neither(Errno),
    /// The usable ranges and the alignment.
    Ranges(Vec<Span>, u64),
    /// What a device's page table has for the range: memory that is contiguous from a place on, or
    /// not that.
    Translated(Option<Place>),
    /// The device's data arrives in the page at this place.
    Lands(Place),
    /// The device's write is blocked.
    Blocked,
    /// Words of a bitmap; those beyond the range have no bit.
    Dirty(Vec<u64>),
    /// Runs of pages with the same number of pins.
    Pins(Vec<PageRun>),
}

impl Move {
    /// Whether it only looks.
    pub const fn looks(&self) -> bool {
        matches!(
            self,
            Self::Ranges(_) | Self::Translate(..) | Self::Pins(_) | Self::Dma(_)
        )
    }

    /// Whether it needs two processors.
    pub const fn races(&self) -> bool {
        matches!(self, Self::RaceOfUnmaps(..) | Self::RaceOfMaps(..))
    }
}

impl fmt::Display for Mock {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "mock{}", self.0)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "access{}", self.0)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{:#x} of {:#x}", self.length, self.iova)
    }
}

/// `at 0x1000`, or `anywhere`.
struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(iova) => write!(to, "at {iova:#x}"),
            None => write!(to, "anywhere"),
        }
    }
}

impl fmt::Display for Mapping {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map {
                ioas,
                from,
                length,
                at,
                rights,
            } => write!(
                to,
                "map {length:#x} of {from} in {ioas} {}, {rights:?}",
                At(*at)
            ),
            Self::Copy {
                from,
                range,
                to: into,
                at,
                rights,
            } => write!(
                to,
                "copy {range} of {from} to {into} {}, {rights:?}",
                At(*at)
            ),
        }
    }
}

impl fmt::Display for Move {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(mapping) => write!(to, "{mapping}"),
            Self::Starved(mapping) => {
                write!(to, "{mapping}, with each allocation failing once")
            }
            Self::Unmap(ioas, range) => write!(to, "unmap {range} of {ioas}"),
            Self::UnmapAll(ioas) => write!(to, "unmap all of {ioas}"),
            Self::RaceOfUnmaps(ioas, range) => write!(to, "unmap {range} of {ioas}, twice at once"),
            Self::RaceOfMaps(ioas, from, range) => {
                write!(to, "map {from} at {range} in {ioas}, twice at once")
            }
            Self::Allow(ioas, spans) => {
                write!(to, "allow in {ioas}")?;
                spans
                    .iter()
                    .try_for_each(|it| write!(to, " {:#x}-{:#x}", it.first(), it.last()))
            }
            Self::Attach(mock, ioas) => write!(to, "attach {mock} to {ioas}"),
            Self::Replace(mock, pt) => write!(to, "move {mock} to {pt}"),
            Self::Leave(mock) => write!(to, "{mock} leaves"),
            Self::AllocateHwpt {
                hwpt,
                mock,
                ioas,
                tracks,
            } => {
                let what = if *tracks { " with dirty bits" } else { "" };
                write!(
                    to,
                    "allocate {} of {ioas} for {mock}{what}",
                    Pt::Hwpt(*hwpt)
                )
            }
            Self::Track(hwpt, enable) => {
                let what = if *enable { "enable" } else { "disable" };
                write!(to, "{what} tracking of {}", Pt::Hwpt(*hwpt))
            }
            Self::Write(hwpt, range) => write!(to, "write {range} through {}", Pt::Hwpt(*hwpt)),
            Self::GetDirty(hwpt, query) => {
                let what = if query.clears { "take" } else { "look at" };
                let (range, size) = (query.range, query.page_size);
                write!(
                    to,
                    "{what} dirty bits of {range} of {}, {size:#x} each",
                    Pt::Hwpt(*hwpt)
                )
            }
            Self::DestroyHwpt(hwpt) => write!(to, "destroy {}", Pt::Hwpt(*hwpt)),
            Self::AttachVfio(ioas) => write!(to, "attach the device to {ioas}"),
            Self::DetachVfio => write!(to, "detach the device"),
            Self::Dma(iova) => write!(to, "the device writes at {iova:#x}"),
            Self::OpenAccess { access, ioas, pins } => {
                let kind = if *pins { "that pins" } else { "that copies" };
                write!(to, "open {access} {kind} to {ioas}")
            }
            Self::MoveAccess(access, ioas) => write!(to, "move {access} to {ioas}"),
            Self::CloseAccess(access) => write!(to, "close {access}"),
            Self::Pin {
                access,
                range,
                write,
            } => {
                let what = if *write { " for writing" } else { "" };
                write!(to, "{access} pins {range}{what}")
            }
            Self::Unpin(access, item) => write!(to, "{access} releases pin {item}"),
            Self::Transfer {
                access,
                range,
                write,
                slow,
            } => {
                let what = if *write { "writes" } else { "reads" };
                let way = if *slow { " slowly" } else { "" };
                write!(to, "{access} {what} {range}{way}")
            }
            Self::Ranges(ioas) => write!(to, "ranges of {ioas}"),
            Self::Translate(mock, range) => write!(to, "{mock} looks at {range}"),
            Self::Pins(buffer) => write!(to, "pins of {}", buffer.name()),
        }
    }
}
